# The main targets are run, test, check and bench. Each of them installs everything that it needs.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
# Tests wait for timers, processes and the browser, so that one more than there are cores is faster.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
REQUIREMENTS := constraints.txt requirements.txt requirements-local.txt

.PHONY: run install test test-quick test-clients lighthouse check check-js audit bench format lock models screenshots

run: install .env
	@echo "› Updating the database"
	@$(MANAGE) migrate --verbosity 0
	@echo "› Collecting static files"
	@$(MANAGE) collectstatic --no-input --verbosity 0
	@echo "› Serving on http://$(HOST):$(PORT) (stop with Ctrl+C)"
	@exec $(BIN)/python -m voiceclone.run --host $(HOST) --port $(PORT) --log-level warning \
		--timeout-graceful-shutdown 10

install: .venv/installed

# A test that fails is run once more, because browsers and timers share the processor; those are named at the end.
test: .venv/installed-dev
	@LOCAL_CHAT_MODEL=smollm2-135m-instruct $(MAKE) --no-print-directory models || test -z "$(REQUIRE_MODELS)"
	$(BIN)/pytest -n $(TEST_PROCESSES) --reruns 1 -r R

# All tests but those that need a browser or the weights of models.
test-quick: .venv/installed-dev
	$(BIN)/pytest -n $(TEST_PROCESSES) -m "not browser and not models"

# Try the programs that people use as clients, newly installed from PyPI and npm. Needs the network, Node.js and npm.
test-clients: .venv/installed-dev
	$(BIN)/python -m tests.clients.run

# Lighthouse's scores of three pages on a telephone. Needs Node.js, Chromium and, the first time, the network.
lighthouse: .venv/installed-dev
	$(BIN)/python -m tests.lighthouse

check: .venv/installed-dev check-js
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html')
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive apps voiceclone
	$(BIN)/codespell $$(git ls-files)
	! LC_ALL=C.UTF-8 grep -nE '^[^|].{120}' $$(git ls-files '*.md') | grep -v ://
	DJANGO_SETTINGS_MODULE=tests.settings $(MANAGE) makemigrations --check --dry-run
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') SECURE_SSL_REDIRECT=on \
		ALLOWED_HOSTS=voice.example.org $(MANAGE) check --deploy --fail-level WARNING

# Check the types (in JSDoc comments) and common errors of the scripts. Needs Node.js 18.18 or later with npm.
check-js: node_modules/installed
	node_modules/.bin/tsc
	node_modules/.bin/eslint --max-warnings 0 static/js

# Check all dependencies for known vulnerabilities. Needs the network, so it is not part of `make check`.
audit: .venv/installed-dev
	$(BIN)/pip-audit --strict --requirement requirements-dev.txt

# Write screenshots of every page to var/screenshots: at phone and desktop width, light and dark.
screenshots: .venv/installed-dev
	$(BIN)/pytest tests/browser/screenshots.py

bench: .venv/installed-dev
	$(BIN)/python -m bench

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/djade --target-version 5.2 $$(git ls-files 'templates/*.html')

models: .venv/installed
	@SECRET_KEY=unused LOCAL_CHAT_MODEL=smollm2-135m-instruct $(MANAGE) fetch_models

# Update constraints.txt: the exact releases of all direct and indirect requirements.
lock:
	rm -rf .venv/lock && $(PYTHON) -m venv .venv/lock
	sed '/^-c/d' requirements.txt > .venv/lock/requirements.txt
	cp requirements-local.txt requirements-pocket.txt requirements-tracing.txt requirements-dev.txt .venv/lock/
	.venv/lock/bin/pip install --quiet -r .venv/lock/requirements-dev.txt
	(head -1 constraints.txt; .venv/lock/bin/pip freeze) > .venv/lock/constraints.txt
	mv .venv/lock/constraints.txt constraints.txt && rm -rf .venv/lock

.venv/installed: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "VoiceClone needs Python 3.11, 3.12 or 3.13. Choose one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "› Creating the virtual environment in .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "› Installing dependencies (this takes a few minutes the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-local.txt
	@touch $@

.venv/installed-dev: .venv/installed requirements-pocket.txt requirements-tracing.txt requirements-dev.txt
	@echo "› Installing the dependencies of tests and checks"
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

node_modules/installed: package-lock.json
	@echo "› Installing the dependencies of the script checks"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.env:
	@echo "› Writing .env with a random SECRET_KEY"
	@umask 077 && $(BIN)/python -c 'import secrets; print(f"SECRET_KEY={secrets.token_urlsafe(50)}")' > .env
