"""Both services hear while it is spoken, and what they have in common."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from apps.speech.base import ProviderError
from apps.speech.providers.breakers import Breakers
from tests.fakes.provider import FakeProvider
from tests.speech.conftest import LosingServer
from tests.speech.providers.live_calls import ENGINES, SECOND, SILENCE, WORDS, Listener, listen, path_of

pytestmark = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(autouse=True)
def _said(provider: FakeProvider) -> None:
    provider.behaviour.transcript = WORDS


class TestQuestions:
    def test_partials_grow_and_the_commit_returns_the_final_text(self, engine: str, provider: FakeProvider) -> None:
        provider.behaviour.spoken_seconds = 0.8

        async def ask(listener: Listener) -> str:
            for start in range(0, len(SECOND), len(SECOND) // 10):
                listener.say(SECOND[start : start + len(SECOND) // 10])
                await asyncio.sleep(0.01)
            return (await listener.live.commit()).text

        async def check(listener: Listener) -> None:
            assert await ask(listener) == WORDS
            assert listener.partials[-1] == WORDS
            assert len(listener.partials) >= 3
            assert all(WORDS.startswith(partial) for partial in listener.partials)
            assert bytes(listener.socket.sound).startswith(SECOND)

        listen(engine, provider, check)

    def test_a_connection_is_ready_before_anything_is_said(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            await listener.until(lambda: [socket.status for socket in listener.sockets] == [101])

        listen(engine, provider, check)

    def test_questions_share_a_connection(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            assert [(await listener.ask()).text for _ in range(3)] == [WORDS] * 3
            assert len(listener.sockets) == 1

        listen(engine, provider, check)

    def test_a_question_that_goes_on_after_a_commit_has_two_texts(self, engine: str, provider: FakeProvider) -> None:
        provider.behaviour.spoken_seconds = 1.5

        async def check(listener: Listener) -> None:
            provider.behaviour.final_seconds = 0.05
            listener.say(SECOND)
            listener.live.likely_end()
            first = asyncio.ensure_future(listener.live.commit())
            await asyncio.sleep(0.01)
            listener.say(SECOND)
            second = asyncio.ensure_future(listener.live.commit())
            assert f"{(await first).text} {(await second).text}" == WORDS
            assert (await first).text

        listen(engine, provider, check)

    def test_a_cancelled_commit_does_not_shift_the_results(self, engine: str, provider: FakeProvider) -> None:
        provider.behaviour.spoken_seconds = 1.5

        async def check(listener: Listener) -> None:
            provider.behaviour.final_seconds = 0.1
            listener.say(SECOND)
            first = asyncio.ensure_future(listener.live.commit())
            await listener.until(lambda: listener.sockets and "commit" in str(listener.socket.messages))
            first.cancel()
            second = (await listener.ask()).text
            assert second
            assert WORDS.endswith(second)
            assert second != WORDS

        listen(engine, provider, check)

    def test_cleared_sound_is_not_part_of_the_next_question(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            listener.say(SECOND)
            await listener.until_partial(WORDS)
            listener.live.clear()
            assert (await listener.ask(SILENCE)).text == ""
            assert (await listener.ask()).text == WORDS

        listen(engine, provider, check)

    def test_nothing_said_needs_no_answer(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            assert (await listener.live.commit()).text == ""
            listener.say(SECOND)
            await asyncio.sleep(0)
            listener.live.clear()
            assert (await listener.live.commit()).text == ""

        listen(engine, provider, check)

    def test_a_short_word_is_filled_up_with_silence(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            assert (await listener.ask(SECOND[: len(SECOND) // 20])).text == WORDS
            assert listener.live.sent_seconds == pytest.approx(0.5)

        listen(engine, provider, check)

    def test_the_language_is_returned(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            assert (await listener.ask()).language == "de"

        listen(engine, provider, check, language="de")


class TestLostConnections:
    @pytest.mark.parametrize("after_seconds", [0.3, None])
    def test_the_sound_since_the_last_commit_is_sent_again(
        self, engine: str, provider: FakeProvider, after_seconds: float | None
    ) -> None:
        async def check(listener: Listener) -> None:
            assert (await listener.ask()).text == WORDS
            provider.requests[-1].sound.clear()
            await listener.until(lambda: listener.sockets[0].finished.is_set())
            assert (await listener.ask()).text == WORDS
            assert len(listener.sockets) == 3
            assert bytes(listener.socket.sound).startswith(SECOND)

        # The first socket is idle after its question, and the second one is lost in the next.
        provider.behaviour.socket_idle_seconds = 0
        provider.break_socket(path_of(engine), after_seconds=99)
        provider.break_socket(path_of(engine), after_seconds=after_seconds)
        listen(engine, provider, check, idle_seconds=0.1)

    def test_a_commit_without_an_answer_is_tried_again(self, engine: str, provider: FakeProvider) -> None:
        provider.break_socket(path_of(engine), hangs=True)

        async def check(listener: Listener) -> None:
            assert (await listener.ask()).text == WORDS
            assert len(listener.sockets) == 2

        listen(engine, provider, check, answer_seconds=0.2)

    def test_it_gives_up_after_its_retries_and_tries_the_next_question(
        self, engine: str, provider: FakeProvider
    ) -> None:
        provider.break_socket(path_of(engine), times=3)

        async def check(listener: Listener) -> None:
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert (caught.value.code, caught.value.stage) == ("provider_incomplete", "hear")
            assert caught.value.is_outage
            assert len(listener.sockets) == 3
            assert (await listener.ask()).text == WORDS

        listen(engine, provider, check)

    def test_a_question_that_nobody_hears_waits_for_its_commit(self, engine: str, provider: FakeProvider) -> None:
        provider.break_socket(path_of(engine), after_seconds=0.3, times=3)

        async def check(listener: Listener) -> None:
            listener.say(SECOND)
            await listener.until(lambda: len(listener.sockets) == 3 and listener.socket.finished.is_set())
            listener.say(SILENCE)
            await asyncio.sleep(0.3)
            assert len(listener.sockets) == 3
            assert (await listener.live.commit()).text == WORDS
            assert bytes(listener.socket.sound) == SECOND + SILENCE

        listen(engine, provider, check)

    def test_a_service_that_is_busy_for_too_long_is_not_waited_for(self, engine: str, provider: FakeProvider) -> None:
        provider.fail_next(path_of(engine), status=429, headers={"retry-after": "60"}, times=9)

        async def check(listener: Listener) -> None:
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert (caught.value.code, caught.value.retry_after) == ("provider_busy", 60)

        listen(engine, provider, check)

    def test_the_commit_has_a_deadline(self, engine: str, provider: FakeProvider) -> None:
        provider.break_socket(path_of(engine), hangs=True)

        async def check(listener: Listener) -> None:
            started = time.monotonic()
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert caught.value.code == "provider_timeout"
            assert time.monotonic() - started < 2
            assert (await listener.ask()).text == WORDS

        listen(engine, provider, check, hear_seconds=0.5, answer_seconds=0.6)

    def test_an_open_breaker_ends_it_at_once(self, engine: str, provider: FakeProvider) -> None:
        provider.break_socket(path_of(engine), times=99)

        async def check(listener: Listener) -> None:
            with pytest.raises(ProviderError):
                await listener.ask()
            tried = len(listener.sockets)
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert caught.value.code == "provider_unavailable"
            await asyncio.sleep(0.05)
            assert len(listener.sockets) == tried

        listen(engine, provider, check, breakers=Breakers(failures=1), max_retries=0)


class TestIdleConnections:
    def test_it_is_closed_and_opened_again_when_there_is_sound(self, engine: str, provider: FakeProvider) -> None:
        async def check(listener: Listener) -> None:
            assert (await listener.ask()).text == WORDS
            await listener.until(lambda: listener.socket.finished.is_set())
            await asyncio.sleep(0.1)
            assert len(listener.sockets) == 1
            assert (await listener.ask()).text == WORDS
            assert len(listener.sockets) == 2

        listen(engine, provider, check, idle_seconds=0.1)


class TestWhatIsKeptSecret:
    def test_neither_keys_nor_words_are_logged(
        self, engine: str, provider: FakeProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider.behaviour.transcript = "Rumpelstilzchen"
        caplog.set_level(logging.DEBUG)
        provider.break_socket(path_of(engine), error="rate_limited")

        async def check(listener: Listener) -> None:
            assert (await listener.ask()).text == "Rumpelstilzchen"

        listen(engine, provider, check)
        assert "hear: provider_" in caplog.text
        assert "test-key" not in caplog.text
        assert "Rumpelstilzchen" not in caplog.text
        assert "France" not in caplog.text

    def test_the_variables_for_proxies_are_obeyed(
        self, engine: str, provider: FakeProvider, unused_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port}")

        async def check(listener: Listener) -> None:
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert caught.value.code == "provider_unreachable"

        listen(engine, provider, check, max_retries=0)
        assert provider.requests == []


class TestServersThatAreNoGood:
    def test_nobody_listens(self, engine: str, provider: FakeProvider, unused_port: int) -> None:
        async def check(listener: Listener) -> None:
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert (caught.value.code, caught.value.is_outage) == ("provider_unreachable", True)

        listen(engine, provider, check, base_url=f"http://127.0.0.1:{unused_port}", max_retries=1)

    def test_connections_are_lost_at_once(
        self, engine: str, provider: FakeProvider, losing_server: LosingServer
    ) -> None:
        async def check(listener: Listener) -> None:
            with pytest.raises(ProviderError) as caught:
                await listener.ask()
            assert caught.value.code == "provider_unreachable"

        listen(engine, provider, check, base_url=losing_server.url, max_retries=1)
        assert losing_server.connections in (2, 4)  # Before and for the commit, each twice.

    def test_no_answer_in_time(self, engine: str, provider: FakeProvider) -> None:
        provider.delay(path_of(engine), 2)

        async def check(listener: Listener) -> None:
            assert (await listener.ask()).text == WORDS

        listen(engine, provider, check, connect_seconds=0.1)
