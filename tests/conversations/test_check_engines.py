"""`manage.py check_engines` calls each stage once, and says what to do about failures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import User
from apps.conversations.management.commands.demo import USERNAME
from tests.factories import make_voice
from tests.fakes.behaviour import Moment
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD, elevenlabs_error
from tests.fakes.elevenlabs_live import PATH as LIVE
from tests.fakes.openai import CHAT, TRANSCRIPTIONS, openai_error
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("remote_engines")]


def check(**options: Any) -> str:
    output = io.StringIO()
    call_command("check_engines", stdout=output, **options)
    return output.getvalue()


def failure(**options: Any) -> tuple[str, str]:
    """Return the output and the last line of a check that fails."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("check_engines", stdout=output, **options)
    return output.getvalue(), str(caught.value)


@pytest.fixture
def demo_user() -> User:
    return User.objects.create_user(USERNAME, f"{USERNAME}@example.org")


class TestSuccess:
    def test_each_stage_is_called_once_and_shown(self, provider: FakeProvider, settings: Settings) -> None:
        settings.STT_MODEL = "ears-1"
        host = provider.url.removeprefix("http://")
        said = check()
        for text in (
            f"hear    openai at {host}, ears-1: OK, all ",
            f"heard “{provider.behaviour.transcript}”",
            f"hear    elevenlabs-live at {host}, ears-live: OK, all ",
            f"think   openai at {host}, gpt-6-luna: OK, first word ",
            f"replied “{provider.behaviour.reply}”",
            f"clone   elevenlabs at {host}, eleven_flash_v2_5: OK, ",
            "--clone",
        ):
            assert text in said
        assert [len(provider.requests_to(path)) for path in (TRANSCRIPTIONS, CHAT, VOICES_ADD, SPEECH)] == [1, 1, 0, 0]
        assert "test-key" not in said

    def test_nobodys_voice_speaks_but_that_of_the_demo(
        self, provider: FakeProvider, alice: User, demo_user: User
    ) -> None:
        make_voice(alice, provider.add_voice("Alice"))
        assert "speak   not tried" in check()
        assert not provider.requests_to(SPEECH)
        demo_voice = provider.add_voice("Demo")
        make_voice(demo_user, demo_voice)
        assert "speak   elevenlabs at" in check()
        assert [request.path.split("/")[3] for request in provider.requests_to(SPEECH)] == [demo_voice]

    def test_a_cloned_voice_speaks_and_is_deleted(self, provider: FakeProvider) -> None:
        kept = provider.add_voice("Kept")
        said = check(clone=True)
        assert "made a voice, which is deleted again" in said
        assert "OK, first sound " in said
        assert "spoke for 2.0 s" in said
        assert len(provider.requests_to(VOICES_ADD)) == 1
        assert [*provider.voices] == [kept]

    def test_it_is_deleted_even_if_it_cannot_speak(self, provider: FakeProvider) -> None:
        provider.fail_next(SPEECH, status=401, body=elevenlabs_error("invalid_api_key"))
        said, end = failure(clone=True)
        assert "speak   elevenlabs" in said
        assert end == "These stages do not work: speak."
        assert not provider.voices

    def test_a_voice_that_cannot_be_deleted_is_a_failure(self, provider: FakeProvider) -> None:
        provider.at("POST", SPEECH, Moment.ANSWERED, lambda: provider.fail_next("/v1/voices/", status=403))
        _said, end = failure(clone=True)
        assert end == "These stages do not work: clone."

    def test_a_fallback_is_called_too(self, provider: FakeProvider, settings: Settings) -> None:
        settings.SPEECH_TO_TEXT_FALLBACK = "local"
        said, end = failure()
        assert "hear    openai at" in said
        assert "hear    local at this machine, whisper-base: FAILED, models_missing" in said
        assert "manage.py fetch_models" in said
        assert end == "These stages do not work: hear."


class TestFailures:
    @pytest.mark.parametrize(
        ("path", "status", "body", "code", "advice"),
        [
            (CHAT, 401, openai_error("invalid_api_key"), "provider_key_invalid", "Correct CHAT_API_KEY"),
            (TRANSCRIPTIONS, 401, openai_error(""), "provider_key_invalid", "Correct STT_API_KEY"),
            (LIVE, 401, elevenlabs_error(""), "provider_key_invalid", "Correct ELEVENLABS_API_KEY"),
            (LIVE, 404, {}, "provider_model_missing", "Set LIVE_STT_MODEL"),
            (CHAT, 404, openai_error("model_not_found"), "provider_model_missing", "The server offers: fake"),
            (TRANSCRIPTIONS, 404, {}, "provider_model_missing", "Set STT_MODEL, or correct STT_BASE_URL"),
            (CHAT, 402, {}, "provider_quota_exhausted", "no credit left"),
            (CHAT, 403, openai_error("missing_scope"), "provider_permission_missing", "lacks a permission"),
            (CHAT, 429, openai_error("billing_not_active"), "provider_payment_failed", "Settle the invoice"),
            (CHAT, 200, "<html>Welcome</html>", "provider_answer_invalid", "most end in /v1"),
            (CHAT, 400, {}, "provider_refused", "its own log"),
            ("/v2/voices", 401, {}, "provider_key_invalid", "Correct ELEVENLABS_API_KEY"),
        ],
    )
    def test_the_operator_is_told_what_to_do(
        self, provider: FakeProvider, path: str, status: int, body: Any, code: str, advice: str
    ) -> None:
        provider.fail_next(path, status=status, body=body, headers={"retry-after": "0"})
        said, end = failure()
        assert f"FAILED, {code}" in said
        assert advice in said
        assert said.count("FAILED") == 1
        assert end.startswith("These stages do not work: ")

    def test_a_missing_key_is_not_called_wrong(self, provider: FakeProvider, settings: Settings) -> None:
        settings.CHAT_API_KEY = ""
        said, _end = failure()
        assert "none is set for this address. Set CHAT_API_KEY" in said
        assert "authorization" not in provider.requests_to(CHAT)[0].headers

    def test_the_common_variables_are_named_for_the_common_address(
        self, provider: FakeProvider, settings: Settings
    ) -> None:
        settings.OPENAI_BASE_URL = provider.openai_url
        provider.fail_next(CHAT, status=401, body=openai_error("invalid_api_key"))
        assert "Correct OPENAI_API_KEY" in failure()[0]

    def test_a_server_that_is_off_is_unreachable(self, settings: Settings) -> None:
        settings.CHAT_BASE_URL, settings.PROVIDER_RETRIES = "http://127.0.0.1:9/v1", 0
        said, end = failure()
        assert "think   openai at 127.0.0.1:9, gpt-6-luna: FAILED, provider_unreachable" in said
        assert "correct CHAT_BASE_URL" in said
        assert end == "These stages do not work: think."

    def test_a_slow_server_is_told_with_its_deadline(self, provider: FakeProvider, settings: Settings) -> None:
        settings.FIRST_TOKEN_SECONDS = 0.2
        provider.behaviour.first_token_seconds = 5
        said, _end = failure()
        assert "FAILED, provider_timeout" in said
        assert "raise FIRST_TOKEN_SECONDS" in said

    def test_a_server_cannot_send_control_characters_to_the_terminal(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "Hello \x1b[2J there"
        assert "\x1b" not in check()
