# syntax=docker/dockerfile:1
# The image of the web server, the worker and all commands: docs/deployment.md
#
#   docker build -t voiceclone --build-arg RELEASE=$(git describe --always) .
#   docker build -t voiceclone --build-arg REQUIREMENTS=requirements-local.txt .    # with the embedded engines

ARG PYTHON=3.13

FROM python:${PYTHON}-slim-trixie AS build
ARG REQUIREMENTS=requirements.txt
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN python3 -m venv /venv
COPY constraints.txt requirements*.txt ./
# Everything is a wheel: a package that would have to be compiled stops the build.
RUN /venv/bin/pip install --only-binary :all: -r ${REQUIREMENTS} -r requirements-tracing.txt \
    && /venv/bin/pip uninstall --yes pip
COPY . .
# The key signs nothing here; without one, no command runs. The files that it writes are its user's only, as recordings
# are.
RUN SECRET_KEY=only-to-collect-files DATABASE_URL=postgres://none/none /venv/bin/python manage.py collectstatic --no-input \
    && /venv/bin/python -m compileall -q apps voiceclone \
    && chmod -R a+rX .

FROM python:${PYTHON}-slim-trixie
# pg_dump and pg_restore, for `manage.py backup` and `restore`; libgomp for the embedded language model.
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin voiceclone \
    && install -d -o voiceclone -g voiceclone -m 700 /data /models
COPY --from=build /venv /venv
COPY --from=build /app /app
ARG RELEASE=
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELEASE=${RELEASE} \
    DATABASE_URL=sqlite:////data/db.sqlite3 \
    MEDIA_ROOT=/data/media \
    MARKS_DIR=/data/marks \
    MODELS_DIR=/models
WORKDIR /app
USER 10001:10001
VOLUME ["/data", "/models"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["python", "deploy/ready.py"]
CMD ["uvicorn", "voiceclone.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--proxy-headers", \
     "--timeout-graceful-shutdown", "30", "--ws-max-size", "5000000", "--ws-per-message-deflate", "false"]
