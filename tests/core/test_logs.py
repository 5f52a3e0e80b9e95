"""Logs contain no keys, tokens, passwords or private words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from apps.core.logs import WithoutQuery, WithoutSecretLinks
from tests.client import QUESTION, Api
from tests.conftest import PASSWORD
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD, elevenlabs_error
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from tests.fakes.provider import FakeProvider

KEY = "test-key"
QUESTION_WORDS = "Where is the treasure buried?"
REPLY_WORDS = "Beneath the crooked palm."


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return everything that was logged, including the extra fields of records."""
    return caplog.text + "".join(str(vars(record)) for record in caplog.records)


@pytest.fixture
def private(alice_token: str, provider: FakeProvider) -> list[str]:
    provider.behaviour.transcript, provider.behaviour.reply = QUESTION_WORDS, REPLY_WORDS
    return [KEY, alice_token, QUESTION_WORDS, REPLY_WORDS, "treasure", "crooked"]


def test_a_turn_leaves_no_words_and_no_keys(
    alice_api: Api, conversation: Conversation, private: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert alice_api.ask(conversation).json()["status"] == "spoken"
    assert alice_api.events_of_turn(conversation, text=QUESTION_WORDS)[-1].name == "done"
    alice_api.get("/api/v1/conversations", params={"search": "treasure"})
    for word in private:
        assert word not in logged(caplog)


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, CHAT, SPEECH])
def test_a_failure_is_logged_by_its_code_without_the_provider_s_text(
    alice_api: Api,
    provider: FakeProvider,
    conversation: Conversation,
    private: list[str],
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    error = elevenlabs_error if path == SPEECH else openai_error
    text = f"Incorrect key {KEY} for {QUESTION_WORDS} and {REPLY_WORDS}"
    provider.fail_next(path, status=401, body=error("invalid_api_key", text))
    assert alice_api.ask(conversation).json()["error"]["code"] == "provider_key_invalid"
    assert "provider_key_invalid" in caplog.text
    for word in private:
        assert word not in logged(caplog)


@pytest.mark.usefixtures("consent")
def test_a_failed_cloning_is_logged_with_the_voice_and_without_its_name(
    alice_api: Api, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.fail_next(VOICES_ADD, status=401, body=elevenlabs_error("invalid_api_key", f"Incorrect key {KEY}"))
    alice_api.clone_voice(voice_name="Marilyn")
    assert "Cloning failed" in caplog.text
    for word in (KEY, "Marilyn", "0.wav"):
        assert word not in logged(caplog)


def test_a_refused_recording_leaves_no_traces(
    alice_api: Api, conversation: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    alice_api.post(
        f"/api/v1/conversations/{conversation.pk}/turns", files={"audio": ("secret-name.wav", QUESTION[:99])}
    )
    assert "secret-name" not in logged(caplog)


def test_signing_in_leaves_no_password(client: Client, alice: User, caplog: pytest.LogCaptureFixture) -> None:
    for password in (PASSWORD, "a wrong password"):
        client.post("/accounts/login/", {"login": "alice", "password": password})
        assert password not in logged(caplog)


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/password/reset/key/3-d2kz/",
        "/accounts/confirm-email/d2kz/",
        "/accounts/invitation/d2kz/",
        "/accounts/erasures/d2kz/receipt.txt",
    ],
)
def test_secret_links_are_cut(path: str) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "%s: %s", ("Not Found", path), None)
    assert WithoutSecretLinks().filter(record)
    assert "d2kz" not in record.getMessage()
    assert record.getMessage().startswith("Not Found: /accounts/")


def test_the_access_log_has_no_query() -> None:
    arguments = ("127.0.0.1:1", "GET", "/history/?q=private+words", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert WithoutQuery().filter(record)
    assert record.getMessage() == '127.0.0.1:1 - "GET /history/ HTTP/1.1" 200'
