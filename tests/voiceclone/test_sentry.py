"""Reports to Sentry, sent by a separate process to a local server."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULT = """
import django
django.setup()
import logging
from django.test import Client
from django.urls import path
from django.contrib.auth.decorators import login_not_required
from voiceclone import urls

@login_not_required
def fault(request):
    secret_word = "treasure"
    raise ValueError("the words of a person: treasure")

urls.urlpatterns.insert(0, path("fault", fault))
client = Client(raise_request_exception=False)
response = client.post("/fault?q=treasure", {"text": "treasure"}, headers={"Authorization": "Bearer treasure"})
assert response.status_code == 500
logging.getLogger("voiceclone").error("It failed with %s", "treasure", extra={"word": "treasure"})
import sentry_sdk
sentry_sdk.flush(30)
"""


class Sink(ThreadingHTTPServer):
    """Receives the reports to Sentry."""

    def __init__(self) -> None:
        self.received: list[str] = []
        super().__init__(("127.0.0.1", 0), self._handler())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_gzip = self.headers.get("Content-Encoding") == "gzip"
                received.append((gzip.decompress(body) if is_gzip else body).decode())
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "voiceclone.settings", "SECRET_KEY": "made-up" * 8}
    command = [sys.executable, "-c", code]
    return subprocess.run(  # noqa: S603
        command, cwd=settings.BASE_DIR, env=environment | variables, capture_output=True, text=True, check=False
    )


def test_a_report_has_the_error_but_no_personal_data(sink: Sink) -> None:
    address = f"http://public@127.0.0.1:{sink.server_port}/1"
    done = run(FAULT, SENTRY_DSN=address, ALLOWED_HOSTS="testserver")
    assert done.returncode == 0, done.stderr
    reports = "".join(sink.received)
    assert "ValueError" in reports
    assert "It failed with %s" in reports
    assert "treasure" not in reports
    events = [json.loads(line) for line in reports.splitlines() if line.startswith("{") and "exception" in line]
    assert events


def test_a_missing_package_stops_the_start() -> None:
    code = "import sys; sys.modules['sentry_sdk'] = None; import django; django.setup()"
    done = run(code, SENTRY_DSN="https://public@sentry.example.org/1")
    assert done.returncode
    assert "SENTRY_DSN needs the package sentry-sdk" in done.stderr


def test_an_invalid_dsn_stops_the_start() -> None:
    done = run("import django; django.setup()", SENTRY_DSN="sentry.example.org")
    assert "The environment variable SENTRY_DSN must be" in done.stderr


def test_without_the_setting_it_is_not_imported() -> None:
    done = run("import django; django.setup(); import sys; assert 'sentry_sdk' not in sys.modules")
    assert done.returncode == 0, done.stderr
