# make run, make test, make check, make bench: each does all of its own set-up and says what it does.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
TEST_PROCESSES ?= auto
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
REQUIREMENTS := constraints.txt requirements.txt requirements-local.txt

.PHONY: run install test test-quick check bench format lock models screenshots

run: install .env
	@echo "› Bringing the database up to date"
	@$(MANAGE) migrate --verbosity 0
	@echo "› Collecting static files"
	@$(MANAGE) collectstatic --no-input --verbosity 0
	@$(MANAGE) fetch_models --if-used
	@echo "› Serving on http://$(HOST):$(PORT) (stop with Ctrl+C)"
	@exec $(BIN)/python -m voiceclone.run --host $(HOST) --port $(PORT) --log-level warning \
		--timeout-graceful-shutdown 10

install: .venv/installed

test: .venv/installed-dev
	@$(MAKE) --no-print-directory models || test -z "$(REQUIRE_MODELS)"
	$(BIN)/pytest -n $(TEST_PROCESSES)

# All tests but those that need a browser or the weights of models.
test-quick: .venv/installed-dev
	$(BIN)/pytest -n $(TEST_PROCESSES) -m "not browser and not models"

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html')
	$(BIN)/mypy .
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(MANAGE) makemigrations --check --dry-run
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') SECURE_SSL_REDIRECT=on \
		ALLOWED_HOSTS=voice.example.org $(MANAGE) check --deploy --fail-level WARNING

# Pictures of every page, on a telephone and a screen, light and dark, in var/screenshots.
screenshots: .venv/installed-dev
	$(BIN)/pytest tests/browser/screenshots.py

bench: .venv/installed-dev
	$(BIN)/python -m bench

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/djade --target-version 5.2 $$(git ls-files 'templates/*.html')

models: .venv/installed
	@SECRET_KEY=unused $(MANAGE) fetch_models

# Write anew the exact releases of all that the requirements files pull in.
lock:
	rm -rf .venv/lock && $(PYTHON) -m venv .venv/lock
	sed '/^-c/d' requirements.txt > .venv/lock/requirements.txt
	cp requirements-local.txt requirements-dev.txt .venv/lock/
	.venv/lock/bin/pip install --quiet -r .venv/lock/requirements-dev.txt
	(head -1 constraints.txt; .venv/lock/bin/pip freeze) > .venv/lock/constraints.txt
	mv .venv/lock/constraints.txt constraints.txt && rm -rf .venv/lock

.venv/installed: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "VoiceClone needs Python 3.11, 3.12 or 3.13. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "› Making the virtual environment in .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "› Installing dependencies (some minutes the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-local.txt
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	@echo "› Installing what tests and checks need"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.env:
	@echo "› Writing .env with a random SECRET_KEY"
	@umask 077 && $(BIN)/python -c 'import secrets; print(f"SECRET_KEY={secrets.token_urlsafe(50)}")' > .env
