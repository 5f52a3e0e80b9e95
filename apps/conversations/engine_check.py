"""Calls the engine of each stage once with the recordings of the demo, for `manage.py check_engines`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from apps.conversations.pipeline.hearing import QUESTION_SAMPLE_RATE
from apps.speech.audio.resampling import resample
from apps.speech.availability import engines_of, live_engines
from apps.speech.base import (
    EMBEDDED,
    LIVE_SAMPLE_RATE,
    LanguageModel,
    LiveSpeechToText,
    Message,
    ProviderError,
    Recording,
    SpeechToText,
    Stage,
    TextToSpeech,
    VoiceCloner,
    VoiceSettings,
)
from apps.speech.registry import Engines

SAMPLE_RATE = QUESTION_SAMPLE_RATE
SENTENCE = "This is how this voice sounds."
VOICE_NAME = "Engine check"
MESSAGES = [
    Message("system", "You are a voice assistant. Answer in one short sentence."),
    Message("user", "What is the capital of France?"),
]

Item = TypeVar("Item", str, bytes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of `engine` at `stage` came to. `seconds` are the times from its start, by what they measure.

    `offered_models` are those that the server lists, if it does not know the configured one.
    """

    stage: Stage
    engine: str
    seconds: dict[str, float] = field(default_factory=dict)
    note: str = ""
    error: ProviderError | None = None
    offered_models: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trial:
    """The recordings to try the engines with, and what to try.

    `voice_id` is a voice that may speak, or "". With `clones`, a voice is made from `sample` and deleted afterwards,
    also where that is paid for.
    """

    question: Recording
    sample: Recording
    max_tokens: int
    voice_id: str
    clones: bool


class Timer:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def read(self) -> float:
        return time.perf_counter() - self._start


async def check(engines: Engines, trial: Trial, report: Callable[[Outcome], None]) -> None:
    """Call each engine that the settings name, and report each outcome as soon as it is known."""
    await engines.warm_up()
    for name, ears in zip(engines_of("hear"), engines.speech_to_text_engines(), strict=True):
        report(await _outcome("hear", name, _hear(ears, trial.question), ears))
    for name in live_engines():
        report(await _outcome("hear", name, _hear_live(engines.live_speech_to_text, trial.question)))
    for name, mind in zip(engines_of("think"), engines.language_models(), strict=True):
        report(await _outcome("think", name, _think(mind, trial.max_tokens), mind))
    for name in engines_of("speak"):
        await _check_voices(engines, name, trial, report)


async def _check_voices(engines: Engines, name: str, trial: Trial, report: Callable[[Outcome], None]) -> None:
    cloner, speech = engines.voice_cloner(name), engines.text_to_speech(name)
    if not trial.clones and name not in EMBEDDED:
        report(await _outcome("clone", name, _list_voices(cloner)))
        if trial.voice_id:
            report(await _outcome("speak", name, _speak(speech, trial.voice_id)))
        return
    made: list[str] = []
    report(await _outcome("clone", name, _clone(cloner, trial.sample, made)))
    try:
        for voice_id in made:
            report(await _outcome("speak", name, _speak(speech, voice_id)))
    finally:
        for voice_id in made:
            deletion = await _outcome("clone", name, _delete(cloner, voice_id))
            if deletion.error:
                report(deletion)


async def _outcome(
    stage: Stage, engine: str, call: Awaitable[tuple[dict[str, float], str]], adapter: object = None
) -> Outcome:
    try:
        seconds, note = await call
    except ProviderError as error:
        offered: Any = getattr(adapter, "offered_models", None)
        is_missing = error.code == "provider_model_missing"
        models = await offered() if offered and is_missing else []
        return Outcome(stage, engine, error=error, offered_models=models)
    return Outcome(stage, engine, seconds, note)


async def _hear(engine: SpeechToText, question: Recording) -> tuple[dict[str, float], str]:
    timer = Timer()
    transcript = await engine.transcribe(question, language="")
    return {"all": timer.read()}, f"heard “{transcript.text}”"


async def _hear_live(engine: LiveSpeechToText, question: Recording) -> tuple[dict[str, float], str]:
    sound = resample(question, sample_rate=LIVE_SAMPLE_RATE)
    timer = Timer()
    async with engine.listen(language="", on_partial=lambda _text: None) as live:
        live.hear(sound.pcm)
        transcript = await live.commit()
        return {"all": timer.read()}, f"heard “{transcript.text}”"


async def _think(engine: LanguageModel, max_tokens: int) -> tuple[dict[str, float], str]:
    deltas, seconds = await _read(engine.reply(MESSAGES, max_tokens=max_tokens), "first word")
    return seconds, f"replied “{''.join(deltas).strip()}”"


async def _speak(engine: TextToSpeech, voice_id: str) -> tuple[dict[str, float], str]:
    speech = engine.speak(SENTENCE, voice_id=voice_id, settings=VoiceSettings(), previous_text="")
    chunks, seconds = await _read(speech, "first sound")
    length = Recording(b"".join(chunks), engine.sample_rate).seconds
    return seconds, f"spoke for {length:.1f} s"


async def _read(stream: AsyncGenerator[Item, None], first: str) -> tuple[list[Item], dict[str, float]]:
    """Read `stream` to its end; return its items, and the times of the first one and of all."""
    timer, items, seconds = Timer(), [], dict[str, float]()
    async with aclosing(stream) as opened:
        async for item in opened:
            seconds.setdefault(first, timer.read())
            items.append(item)
    return items, seconds | {"all": timer.read()}


async def _clone(cloner: VoiceCloner, sample: Recording, made: list[str]) -> tuple[dict[str, float], str]:
    """Make a voice and add its id to `made`."""
    timer = Timer()
    made.append(await cloner.create(VOICE_NAME, [sample]))
    return {"all": timer.read()}, "made a voice, which is deleted again"


async def _list_voices(cloner: VoiceCloner) -> tuple[dict[str, float], str]:
    timer = Timer()
    count = len(await cloner.list())
    return {"all": timer.read()}, f"has {count} cloned voices; --clone makes one from a recording and deletes it again"


async def _delete(cloner: VoiceCloner, voice_id: str) -> tuple[dict[str, float], str]:
    await cloner.delete(voice_id)
    return {}, ""
