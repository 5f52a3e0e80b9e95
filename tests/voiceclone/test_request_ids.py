"""Each request has an id, in its response and in all its log lines."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

import pytest
import requests
from django.conf import settings
from pythonjsonlogger.json import JsonFormatter

from apps.core.logs import WithIds, request_id, turn_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apps.conversations.models import Conversation
    from tests.client import Api
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider


class Collected(logging.Handler):
    """Collects log records, with the ids that the filter of the console adds."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(WithIds())

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def collected() -> Iterator[Collected]:
    handler = Collected()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_each_response_has_its_own_id(server: Server) -> None:
    ids = [requests.get(f"{server.url}/healthz", timeout=10).headers["X-Request-ID"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)


@pytest.mark.parametrize(
    ("given", "is_accepted"),
    [
        ("f3b9c1d2-77aa-4e0b-9d1c-0123456789ab", True),
        ("short", False),
        ("x" * 65, False),
        ("spaces in between", False),
        ('quote"and{brace}', False),
        ("Zeichen-äöü-Zeichen", False),
    ],
)
def test_a_well_formed_id_is_accepted(server: Server, given: str, is_accepted: bool) -> None:
    headers = {"X-Request-ID": given.encode()}
    response = requests.get(f"{server.url}/healthz", headers=headers, timeout=10)
    assert (response.headers["X-Request-ID"] == given) is is_accepted


def test_log_lines_of_a_turn_have_the_ids_of_request_and_turn(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, collected: Collected
) -> None:
    provider.fail_next("/v1/text-to-speech", status=500, headers={"retry-after": "0"})
    response = alice_api.ask(conversation, headers={"X-Request-ID": "request-of-the-test"})
    turn = response.json()["id"]
    failures = [record for record in collected.records if "provider_failed" in record.getMessage()]
    assert failures
    for record in failures:
        assert record.__dict__["request_id"] == "request-of-the-test"
        assert record.__dict__["turn_id"] == turn


def test_log_lines_of_a_streamed_file_have_the_request_id(
    alice_api: Api, conversation: Conversation, provider: FakeProvider, collected: Collected
) -> None:
    assert conversation.voice
    provider.fail_next("/v1/text-to-speech", status=500, headers={"retry-after": "0"})
    headers = {"X-Request-ID": "request-of-the-test"}
    body = {"text": "Hello.", "voice": conversation.voice.voice_id}
    assert alice_api.post("/api/v1/speech", json=body, headers=headers).ok
    failures = [record for record in collected.records if "provider_failed" in record.getMessage()]
    assert [record.__dict__["request_id"] for record in failures] == ["request-of-the-test"]


def test_both_log_formats_show_the_ids() -> None:
    record = logging.LogRecord("voiceclone", logging.INFO, "", 0, "Something happened", None, None)
    tokens = request_id.set("a-request"), turn_id.set("a-turn")
    try:
        assert WithIds().filter(record)
    finally:
        request_id.reset(tokens[0])
        turn_id.reset(tokens[1])
    formats = settings.LOGGING["formatters"]
    text = logging.Formatter(formats["text"]["format"], style="{")
    assert "voiceclone [a-request] [a-turn]: Something happened" in text.format(record)
    options = {name: value for name, value in formats["json"].items() if name not in {"()", "format"}}
    line = json.loads(JsonFormatter(formats["json"]["format"], **options).format(record))
    assert (line["request_id"], line["turn_id"]) == ("a-request", "a-turn")
    assert "ids" not in line
