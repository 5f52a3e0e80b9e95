"""Embedded Whisper hears while it is spoken: it begins at each likely end."""

from __future__ import annotations

import asyncio
import time

import jiwer

from apps.speech.audio.resampling import resample
from apps.speech.base import LIVE_SAMPLE_RATE, Recording
from apps.speech.local.config import LocalConfig
from apps.speech.local.processor import PROCESSOR
from apps.speech.local.whisper import LocalSpeechToText
from apps.speech.providers.whole_file import WholeFileSpeechToText
from tests.audio_samples import TRANSCRIPTS
from tests.speech.local.wording import plain_words

PAUSE = bytes(2 * LIVE_SAMPLE_RATE // 5)


def test_the_result_is_there_when_the_end_is_certain(config: LocalConfig, clips: list[Recording]) -> None:
    sentence = resample(clips[0], sample_rate=LIVE_SAMPLE_RATE).pcm
    partials: list[str] = []

    async def run() -> tuple[str, float, float]:
        engine = LocalSpeechToText(config)
        await engine.preload()
        async with WholeFileSpeechToText(lambda: engine, max_seconds=120).listen(
            language="en", on_partial=partials.append
        ) as live:
            # A pause in the middle: what came before it is a text too, and no part of the whole is lost.
            live.hear(sentence[: len(sentence) // 4 * 2] + PAUSE)
            live.likely_end()
            async with asyncio.timeout(30):
                while not partials:
                    await asyncio.sleep(0.01)
                    assert partials or PROCESSOR.is_needed()
            live.hear(sentence[len(sentence) // 4 * 2 :] + PAUSE)
            live.likely_end()
            async with asyncio.timeout(30):
                while len(partials) < 2:  # noqa: ASYNC110 - it is called back
                    await asyncio.sleep(0.01)
            live.hear(PAUSE)
            started = time.monotonic()
            transcript = await live.commit()
            return transcript.text, time.monotonic() - started, live.sent_seconds

    text, seconds, sent = asyncio.run(run())
    assert partials[1] == text
    assert jiwer.wer(plain_words(next(iter(TRANSCRIPTS.values()))), plain_words(text)) <= 0.1
    assert seconds < 0.1
    assert sent < 2 * clips[0].seconds
    assert not PROCESSOR.is_needed()
