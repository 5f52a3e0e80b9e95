"""An engine that only hears whole recordings begins at each likely end, and a commit waits no longer than needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np
import pytest

from apps.speech.base import LIVE_SAMPLE_RATE, ProviderError
from apps.speech.providers.fallback import FallbackSpeechToText
from apps.speech.providers.openai import OpenAISpeechToText, create_client
from apps.speech.providers.whole_file import WholeFileSpeechToText
from tests.fakes.openai import TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider
from tests.speech.providers.live_calls import SECOND, SILENCE, Listener
from tests.speech.providers.openai_calls import config_for

Result = TypeVar("Result")

PAUSE = SILENCE[: len(SILENCE) // 5]
QUESTION = "What is the capital of France?"


def listen(
    provider: FakeProvider, work: Callable[[Listener], Awaitable[Result]], *, max_seconds: float = 120
) -> Result:
    async def main() -> Result:
        config = config_for(provider)
        client = create_client(config)
        engine = OpenAISpeechToText(client, config)
        partials: list[str] = []
        live = WholeFileSpeechToText(lambda: engine, max_seconds=max_seconds)
        async with live.listen(language="de", on_partial=partials.append) as transcription:
            result = await work(Listener(transcription, provider, partials))
        await client.close()
        return result

    return asyncio.run(main())


def sent_seconds(provider: FakeProvider) -> list[float]:
    sizes = [request.files[0].size for request in provider.requests_to(TRANSCRIPTIONS)]
    return [round((size - 44) / 2 / 16_000, 2) for size in sizes]


def test_a_commit_transcribes_what_came_since_the_last_one(provider: FakeProvider) -> None:
    async def check(listener: Listener) -> None:
        transcript = await listener.ask(SECOND * 2)
        assert (transcript.text, transcript.language) == (QUESTION, "de")
        assert (await listener.ask(SECOND)).text == QUESTION
        assert (await listener.live.commit()).text == ""
        assert sent_seconds(provider) == [2.0, 1.0]
        assert listener.live.name == "openai"
        assert listener.live.sent_seconds == pytest.approx(3)
        assert listener.partials == []

    listen(provider, check)


def test_a_likely_end_begins_early_and_silence_uses_its_result(provider: FakeProvider) -> None:
    async def check(listener: Listener) -> None:
        listener.say(SECOND + PAUSE)
        listener.live.likely_end()
        await listener.until_partial(QUESTION)
        listener.say(PAUSE)
        listener.live.likely_end()
        listener.say(PAUSE)
        assert (await listener.live.commit()).text == QUESTION
        assert sent_seconds(provider) == [1.2]

    listen(provider, check)


def test_a_commit_waits_for_what_has_begun(provider: FakeProvider) -> None:
    provider.behaviour.hear_seconds = 0.1

    async def check(listener: Listener) -> None:
        listener.say(SECOND + PAUSE)
        listener.live.likely_end()
        await asyncio.sleep(0.05)
        assert (await listener.live.commit()).text == QUESTION
        assert sent_seconds(provider) == [1.2]
        assert listener.partials == []

    listen(provider, check)


def test_further_speech_is_heard_as_well(provider: FakeProvider) -> None:
    async def check(listener: Listener) -> None:
        listener.say(SECOND + PAUSE)
        listener.live.likely_end()
        listener.say(SECOND + PAUSE)
        listener.live.likely_end()
        await listener.until_partial(QUESTION)
        listener.say(SECOND[: len(SECOND) // 4])
        assert (await listener.live.commit()).text == QUESTION
        assert listener.partials == [QUESTION]
        assert sent_seconds(provider)[-2:] == [2.4, 2.65]

    listen(provider, check)


def test_a_failed_beginning_is_repeated_by_the_commit(provider: FakeProvider) -> None:
    provider.fail_next(TRANSCRIPTIONS, status=400)

    async def check(listener: Listener) -> None:
        listener.say(SECOND + PAUSE)
        listener.live.likely_end()
        assert (await listener.live.commit()).text == QUESTION

    listen(provider, check)


def test_errors_of_the_engine_are_raised(provider: FakeProvider) -> None:
    provider.fail_next(TRANSCRIPTIONS, status=401)

    async def check(listener: Listener) -> None:
        with pytest.raises(ProviderError) as caught:
            await listener.ask()
        assert caught.value.code == "provider_key_invalid"
        assert (await listener.ask()).text == QUESTION
        assert sent_seconds(provider) == [1.0, 1.0]

    listen(provider, check)


def test_cleared_sound_is_forgotten_and_its_transcription_ends(provider: FakeProvider) -> None:
    provider.behaviour.hear_seconds = 5

    async def check(listener: Listener) -> None:
        listener.say(SECOND)
        listener.live.likely_end()
        await listener.until(lambda: provider.requests)
        listener.live.clear()
        await listener.until(provider.last_request.finished.is_set)
        assert provider.last_request.left_early
        assert (await listener.live.commit()).text == ""

    listen(provider, check)


def test_the_end_of_too_long_a_question_is_kept(provider: FakeProvider) -> None:
    async def check(listener: Listener) -> None:
        listener.say(SECOND * 3)
        listener.live.likely_end()
        listener.say(SECOND)
        await listener.live.commit()
        assert sent_seconds(provider)[-1] == 2.0

    listen(provider, check, max_seconds=2)


def test_the_name_is_that_of_the_engine_that_heard(provider: FakeProvider) -> None:
    provider.fail_next(TRANSCRIPTIONS, status=500, times=3)

    class Embedded:
        name = "local"
        supports_timestamps = True

        def __init__(self, engine: OpenAISpeechToText) -> None:
            self.transcribe = engine.transcribe

    async def main() -> None:
        config = config_for(provider, max_retries=2)
        client = create_client(config)
        engine = OpenAISpeechToText(client, config)
        live = WholeFileSpeechToText(lambda: FallbackSpeechToText([engine, Embedded(engine)]), max_seconds=9)
        assert live.name == "openai"
        async with live.listen(language="", on_partial=print) as transcription:
            transcription.hear(SECOND)
            await transcription.commit()
            assert transcription.name == "local"
        await client.close()

    asyncio.run(main())


def test_a_quiet_room_is_no_speech(provider: FakeProvider) -> None:
    noise = np.random.default_rng(1).normal(0, 250, 2 * LIVE_SAMPLE_RATE).astype("<i2").tobytes()
    pause = noise[: len(PAUSE)]

    async def check(listener: Listener) -> None:
        listener.say(SECOND + pause)
        listener.live.likely_end()
        listener.say(noise)
        assert (await listener.live.commit()).text == QUESTION
        assert sent_seconds(provider) == [1.2]

    listen(provider, check)
