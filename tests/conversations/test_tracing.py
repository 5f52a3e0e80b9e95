"""Traces of turns, as a collector of OpenTelemetry receives them from a running site."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from django.conf import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.client import QUESTION, Api, turns_path, wait_until
from tests.fakes.elevenlabs import SPEECH, elevenlabs_error
from tests.processes import OPERATED, remote, running_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.fakes.provider import FakeProvider

SERVER = ["uvicorn", "voiceclone.asgi:application"]
OFF = """
import sys
import django
django.setup()
from voiceclone import asgi
from apps.core import tracing
tracing.start()
with tracing.span("turn", turn_id="1") as note:
    note(status="spoken")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


class Collector(ThreadingHTTPServer):
    """Receives traces: OTLP over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), self._handler())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler

    def received(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def resource(self) -> dict[str, Any]:
        return attributes(self.received()[0].resource_spans[0].resource)

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.received()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def turns(self) -> list[Span]:
        return [span for span in self.spans() if span.name == "turn"]

    def stages_of(self, turn: Span) -> dict[str, Span]:
        return {span.name: span for span in self.spans() if span.parent_span_id == turn.span_id}


def attributes(traced: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in traced.attributes}


@contextmanager
def running_collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def test_a_turn_and_its_stages_are_spans_without_words(tmp_path: Path, provider: FakeProvider) -> None:
    provider.behaviour.transcript, provider.behaviour.reply = "Where is the treasure?", "Beneath the crooked palm."
    with running_collector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
            "RELEASE": "1.2.3-tests",
            "PROVIDER_RETRIES": "0",
        }
        with running_site(SERVER, tmp_path, **remote(provider), **variables) as site:
            conversation, token = site.add_conversation(provider.add_voice("Jane"))
            with Api(site.url, token) as api:
                asked = api.post(turns_path(conversation), files={"audio": QUESTION}).json()
                provider.fail_next(SPEECH, status=401, body=elevenlabs_error("invalid_api_key", "treasure"))
                failed = api.post(turns_path(conversation), json={"text": "Is it the treasure?"}).json()
            wait_until(lambda: len(collector.turns()) == 2)
    spoken, broken = collector.turns()
    resource = collector.resource()
    assert resource["service.name"] == "voiceclone"
    assert resource["service.version"] == "1.2.3-tests"
    assert resource["host.name"]
    assert resource["deployment.environment.name"] == "tests"

    values = attributes(spoken)
    assert values["voiceclone.turn_id"] == asked["id"]
    assert values["voiceclone.status"] == "spoken"
    assert values["voiceclone.first_audio_ms"] == asked["timings"]["first_audio_ms"]
    stages = collector.stages_of(spoken)
    assert set(stages) == {"hear", "think", "speak"}
    for stage in stages.values():
        assert stage.trace_id == spoken.trace_id
        assert spoken.start_time_unix_nano <= stage.start_time_unix_nano < stage.end_time_unix_nano
    assert attributes(stages["speak"])["voiceclone.request_ids"].values[0].string_value

    assert attributes(broken)["voiceclone.turn_id"] == failed["id"]
    assert attributes(broken)["error.type"] == failed["error"]["code"] == "provider_key_invalid"
    assert attributes(collector.stages_of(broken)["speak"])["error.type"] == "provider_key_invalid"
    for word in (b"treasure", b"crooked", b"Jane", b"alice", token.encode()):
        assert not any(word in body for body in collector.bodies)
    line = json.loads(site.log.read_text().splitlines()[-1])
    assert line["release"] == resource["service.version"]
    assert line["host"] == resource["host.name"]


def test_without_the_setting_nothing_is_imported() -> None:
    done = _run(OFF)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_stops_the_start() -> None:
    code = (
        "from importlib import metadata; metadata.Distribution.discover = lambda **_: iter(()); "
        "import django; django.setup()"
    )
    done = _run(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert done.returncode
    assert "pip install -r requirements-tracing.txt" in done.stderr


def _run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "", **OPERATED, **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(  # noqa: S603
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
