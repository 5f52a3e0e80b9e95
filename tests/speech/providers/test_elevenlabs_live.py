"""ElevenLabs' Scribe realtime, with its oddities: no numbers, repeated partials, commits and ends of its own."""

from __future__ import annotations

import asyncio

import pytest

from apps.speech.base import LIVE_SAMPLE_RATE
from tests.fakes.elevenlabs import elevenlabs_error, speech
from tests.fakes.elevenlabs_live import PATH
from tests.fakes.live import voiced_seconds
from tests.fakes.provider import FakeProvider
from tests.speech.providers.failures import AT_ONCE, error_of
from tests.speech.providers.live_calls import SECOND, SILENCE, WORDS, Listener, ask, listen

ENGINE = "elevenlabs"


@pytest.fixture(autouse=True)
def _said(provider: FakeProvider) -> None:
    provider.behaviour.transcript = WORDS


async def speak(listener: Listener, pcm: bytes) -> None:
    """Say no more than is sent in the meantime."""
    for start in range(0, len(pcm), len(SECOND)):
        sent = listener.live.sent_seconds
        listener.say(pcm[start : start + len(SECOND)])
        await listener.until(lambda sent=sent: listener.live.sent_seconds >= sent + 1)  # type: ignore[misc]


def test_what_it_asks_for(provider: FakeProvider) -> None:
    async def check(listener: Listener) -> None:
        await listener.ask()
        assert listener.socket.headers["xi-api-key"] == "test-key"
        assert "test-key" not in str(listener.socket.query)
        assert listener.socket.query == {
            "model_id": "ears-1",
            "audio_format": "pcm_24000",
            "commit_strategy": "manual",
            "language_code": "de",
        }
        assert listener.socket.messages == [{"commit": True}]

    listen(ENGINE, provider, check, language="de")


class TestPartials:
    def test_repeated_ones_are_not_told(self, provider: FakeProvider) -> None:
        provider.behaviour.repeated_seconds = 0.01

        async def check(listener: Listener) -> None:
            listener.say(SECOND)
            await asyncio.sleep(0.1)
            assert listener.partials == [WORDS]

        listen(ENGINE, provider, check)

    def test_one_after_the_commit_is_not_of_the_next_question(self, provider: FakeProvider) -> None:
        provider.behaviour.spoken_seconds = 2 * voiced_seconds(SECOND)

        async def check(listener: Listener) -> None:
            first = (await listener.ask()).text
            told = len(listener.partials)
            listener.say(SILENCE)
            await asyncio.sleep(0.1)
            assert listener.partials[told:] == []
            listener.say(SECOND)
            await listener.until(lambda: f"{first} {''.join(listener.partials[-1:])}" == WORDS)

        listen(ENGINE, provider, check)


class TestSilence:
    def test_it_keeps_the_connection_alive_and_counts(self, provider: FakeProvider) -> None:
        provider.behaviour.repeated_seconds, provider.behaviour.socket_idle_seconds = 0.02, 0.06

        async def check(listener: Listener) -> None:
            await listener.ask()
            await asyncio.sleep(0.3)
            assert not listener.socket.finished.is_set()
            assert listener.live.sent_seconds > 1.1
            assert (await listener.ask()).text == WORDS
            assert len(listener.sockets) == 1

        listen(ENGINE, provider, check, silence_seconds=0.02)

    def test_a_connection_that_is_closed_for_inactivity_is_opened_when_there_is_sound(
        self, provider: FakeProvider
    ) -> None:
        provider.behaviour.repeated_seconds, provider.behaviour.socket_idle_seconds = 0.02, 0.06

        async def check(listener: Listener) -> None:
            await listener.until(lambda: listener.sockets and listener.socket.finished.is_set())
            await asyncio.sleep(0.1)
            assert len(listener.sockets) == 1
            assert (await listener.ask()).text == WORDS
            assert len(listener.sockets) == 2

        listen(ENGINE, provider, check)


class TestLongQuestions:
    @pytest.mark.parametrize(
        ("sound", "commits"),
        [
            ([SECOND * 21, SILENCE, SECOND * 4], 2),
            ([SECOND * 24], 1),
            ([SECOND * 65], 2),
            ([SECOND * 25, SILENCE, SECOND * 25, SILENCE, SECOND * 5], 3),
        ],
    )
    def test_they_are_committed_in_pieces_before_the_service_does_so(
        self, provider: FakeProvider, sound: list[bytes], commits: int
    ) -> None:
        provider.behaviour.transcript = text = " ".join(map(str, range(100)))
        provider.behaviour.spoken_seconds = voiced_seconds(b"".join(sound))

        async def check(listener: Listener) -> None:
            for part in sound:
                await speak(listener, part)
            assert (await listener.live.commit()).text == text
            assert len(listener.socket.messages) == commits
            assert (await listener.live.commit()).text == ""

        listen(ENGINE, provider, check)

    def test_the_texts_of_pieces_are_part_of_the_partials(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = text = " ".join(map(str, range(100)))
        provider.behaviour.spoken_seconds = 0.8 * 25

        async def check(listener: Listener) -> None:
            await speak(listener, SECOND * 21 + SILENCE)
            await listener.until(lambda: listener.socket.messages)
            listener.say(SECOND * 4)
            await listener.until_partial(text)

        listen(ENGINE, provider, check)

    def test_a_commit_of_the_service_itself_is_a_part(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = text = " ".join(map(str, range(100)))
        provider.behaviour.spoken_seconds, provider.behaviour.automatic_commit_seconds = 8, 5

        async def check(listener: Listener) -> None:
            for _ in range(10):
                listener.say(SECOND)
                await asyncio.sleep(0.01)
            await listener.until_partial(text)
            assert (await listener.live.commit()).text == text

        listen(ENGINE, provider, check)


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("auth_error", "provider_key_invalid"),
            ("quota_exceeded", "provider_quota_exhausted"),
            ("unaccepted_terms", "provider_permission_missing"),
            ("invalid_request", "provider_refused"),
            ("chunk_size_exceeded", "provider_refused"),
        ],
    )
    def test_refusals_are_not_repeated(self, provider: FakeProvider, kind: str, code: str) -> None:
        provider.break_socket(PATH, error=kind)

        error = error_of(ask, ENGINE, provider)

        assert (error.code, error.stage, error.retryable, error.is_outage) == (code, "hear", False, False)
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("rate_limited", "provider_busy"),
            ("queue_overflow", "provider_busy"),
            ("resource_exhausted", "provider_busy"),
            ("commit_throttled", "provider_busy"),
            ("transcriber_error", "provider_failed"),
            ("error", "provider_failed"),
            ("session_time_limit_exceeded", "provider_incomplete"),
            ("insufficient_audio_activity", "provider_incomplete"),
            ("a_new_one", "provider_failed"),
        ],
    )
    def test_temporary_ones_are(self, provider: FakeProvider, kind: str, code: str) -> None:
        provider.break_socket(PATH, error=kind, times=1)
        assert ask(ENGINE, provider) == WORDS

        provider.break_socket(PATH, error=kind, times=1)
        assert error_of(ask, ENGINE, provider, max_retries=0).code == code

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (401, "provider_key_invalid"),
            (402, "provider_quota_exhausted"),
            (403, "provider_plan_insufficient"),
            (302, "provider_answer_invalid"),
        ],
    )
    def test_refused_connections(self, provider: FakeProvider, status: int, code: str) -> None:
        provider.fail_next(PATH, status=status, times=9, headers={"location": f"{provider.url}{PATH}"})

        error = error_of(ask, ENGINE, provider)

        assert (error.code, error.stage) == (code, "hear")
        # In advance, and for the commit.
        assert len(provider.requests) <= 2

    def test_the_code_in_a_refusal_comes_first(self, provider: FakeProvider) -> None:
        provider.fail_next(PATH, status=401, body=elevenlabs_error("quota_exceeded"), times=9)

        assert error_of(ask, ENGINE, provider).code == "provider_quota_exhausted"

    def test_busy_connections_are_tried_again(self, provider: FakeProvider) -> None:
        provider.fail_next(PATH, status=429, headers=AT_ONCE, times=2)

        assert ask(ENGINE, provider) == WORDS
        assert len(provider.requests) == 3

    def test_a_text_that_nobody_can_have_said_is_refused(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "word " * 100

        assert error_of(ask, ENGINE, provider, max_retries=0).code == "provider_answer_invalid"

    def test_characters_that_cannot_be_stored_are_left_out(self, provider: FakeProvider) -> None:
        provider.behaviour.transcript = "Good\x00 morning"

        assert ask(ENGINE, provider) == "Good morning"


def test_the_sound_that_is_kept_is_limited(provider: FakeProvider) -> None:
    provider.delay(PATH, 0.1)
    whole = speech("x" * 150, LIVE_SAMPLE_RATE)

    async def check(listener: Listener) -> None:
        assert (await listener.ask(whole)).text == WORDS
        assert bytes(listener.socket.sound) == whole[-2 * len(SECOND) :]

    listen(ENGINE, provider, check, max_seconds=2)
