"""Measure how soon the embedded engines answer: each stage alone, then whole turns of the application.

Nothing is fake: the real models hear, think and speak behind the real application, over HTTP. Every question is asked
once and in a new conversation, so that the model remembers nothing but its instructions.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import django
from django.core.management import call_command

from bench import client, processes, report

if TYPE_CHECKING:
    from apps.speech.registry import Engines

FIRST_QUESTION = "How are you today?"
TYPED_QUESTIONS = [
    "What is the capital of France, and what is it known for?",
    "Why is the sky blue during the day?",
    "How do I keep bread fresh for a week?",
    "What should I cook tonight with eggs and potatoes?",
    "Tell me about the moon in a few sentences.",
    "How can I learn to swim as an adult?",
]
SPOKEN_QUESTIONS = ["austen-0880.wav", "austen-0930.wav", "austen-0890.wav", "austen-0920.wav", "austen-0870.wav"]
VOICE_SAMPLES = ["austen-0870.wav", "austen-0920.wav"]
SETTLING_SECONDS = 1.0
MAX_RATIO, MAX_SILENCE_SECONDS, MAX_MEGABYTES = 1.15, 0.4, 3000
# To the first audio, on a machine that counts to a million in REFERENCE_MS. A slower one has more time.
MAX_TYPED_SECONDS, MAX_SPOKEN_SECONDS, REFERENCE_MS = 2.5, 3.0, 20


@dataclass(slots=True)
class Stages:
    """Seconds that each stage takes alone, for one question: to hear it, to write the first segment, to speak that."""

    question: str
    hear: float = 0.0
    think: float = 0.0
    speak: float = 0.0
    segment: str = ""
    segment_seconds: float = 0.0

    @property
    def total(self) -> float:
        return self.hear + self.think + self.speak


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a kind, "typed" or "spoken", with its stages alone and the sound of the whole turn's answer."""

    kind: str
    stages: Stages
    chunks: list[client.Chunk] = field(default_factory=list)

    @property
    def first_audio(self) -> float:
        return self.chunks[0].arrived

    @property
    def is_comparable(self) -> bool:
        """Whether the turn began with the segment that its stages made alone; a longer one takes longer."""
        return self.chunks[0].segment == self.stages.segment

    @property
    def spoken_seconds(self) -> float:
        return sum(chunk.seconds for chunk in self.chunks)

    @property
    def longest_silence(self) -> float:
        """The longest time without sound, after the first chunk is played as soon as it arrives."""
        longest, end = 0.0, self.first_audio
        for chunk in self.chunks:
            longest = max(longest, chunk.arrived - end)
            end = max(end, chunk.arrived) + chunk.seconds
        return longest


def main() -> int:
    options = _options()
    failures: list[str] = []
    with TemporaryDirectory(prefix="voiceclone-bench-") as folder:
        processes.set_environment(Path(folder), None)
        os.environ["LOCAL_CHAT_MODEL"] = options.model
        django.setup()
        logging.disable(logging.WARNING)
        _say(_heading(options.model))
        voice_id, stages = asyncio.run(_measure_stages(options.rounds))
        _say("\n".join(map(_stage_line, stages)))
        token, voice = _sign_up(voice_id)
        log = Path(folder, "application.log")
        with processes.application(log) as application:
            asked = asyncio.run(_ask(application.url, token, voice, stages, failures))
            megabytes = application.memory_megabytes()
        if failures:
            sys.stderr.write("\n".join([log.read_text()[-5000:], *failures, ""]))
    _say(_results(asked, megabytes))
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.embedded", description=__doc__)
    parser.add_argument("--model", default="", help="LOCAL_CHAT_MODEL (the application's default)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        choices=range(1, len(SPOKEN_QUESTIONS) + 1),
        help="typed and spoken questions, of each (5)",
    )
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _measure_stages(rounds: int) -> tuple[str, list[Asked]]:
    """Create a voice. Return its id, and the questions with the times of their stages, one after the other."""
    from apps.conversations.pipeline.prompts import new_conversation
    from apps.speech.base import LOCAL
    from apps.speech.registry import current_engines
    from tests.audio_samples import clip

    async with current_engines() as engines:
        await engines.warm_up(new_conversation())
        voice_id = await engines.voice_cloner(LOCAL).create("Jane", [clip(name) for name in VOICE_SAMPLES])
        await _think(engines, Stages(FIRST_QUESTION))
        asked = []
        for typed, spoken in zip(TYPED_QUESTIONS[:rounds], SPOKEN_QUESTIONS[:rounds], strict=True):
            for kind, stages in (("typed", Stages(typed)), ("spoken", await _hear(engines, spoken))):
                await _think(engines, stages)
                await _speak(engines, stages, voice_id)
                asked.append(Asked(kind, stages))
        return voice_id, asked


async def _hear(engines: Engines, name: str) -> Stages:
    from tests.audio_samples import clip

    started = time.perf_counter()
    transcript = await engines.speech_to_text.transcribe(clip(name), language="")
    return Stages(transcript.text, hear=time.perf_counter() - started)


async def _think(engines: Engines, stages: Stages) -> None:
    from apps.conversations.pipeline.prompts import build_messages
    from apps.conversations.pipeline.sentences import SpeechChunker

    messages = build_messages(persona="", earlier=[], transcript=stages.question)
    chunker = SpeechChunker()
    started = time.perf_counter()
    async with aclosing(engines.language_model.reply(messages, max_tokens=400)) as deltas:
        async for delta in deltas:
            if segments := chunker.feed(delta):
                break
        else:
            segments = chunker.finish()
    stages.think, stages.segment = time.perf_counter() - started, segments[0]
    await asyncio.sleep(SETTLING_SECONDS)  # The model still stops.


async def _speak(engines: Engines, stages: Stages, voice_id: str) -> None:
    from apps.speech.base import LOCAL, Recording, VoiceSettings

    engine = engines.text_to_speech(LOCAL)
    started = time.perf_counter()
    sound = engine.speak(stages.segment, voice_id=voice_id, settings=VoiceSettings(), previous_text="")
    async with aclosing(sound) as chunks:
        first = await anext(chunks)
        stages.speak = time.perf_counter() - started
    stages.segment_seconds = Recording(first, engine.sample_rate).seconds


def _sign_up(voice_id: str) -> tuple[str, str]:
    """Create the database with one person. Return an API token and the id of the voice."""
    from apps.accounts.models import User
    from apps.accounts.services import create_api_token
    from apps.speech.base import LOCAL
    from tests.factories import make_voice

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("person")
    return create_api_token(owner=user, name="bench"), str(make_voice(user, voice_id, provider=LOCAL).pk)


async def _ask(url: str, token: str, voice: str, questions: Sequence[Asked], failures: list[str]) -> list[Asked]:
    """Ask every question in a turn of its own, first one more after which nothing is cold. Add to `failures`."""
    from tests.audio_samples import clip, to_wav

    asked = []
    recordings = iter(SPOKEN_QUESTIONS)
    for each in (Asked("first", Stages(FIRST_QUESTION)), *questions):
        question: dict[str, Any] = {"json": {"text": each.stages.question}}
        if each.kind == "spoken":
            question = {"files": {"audio": to_wav(clip(next(recordings)))}}
        try:
            conversation = await asyncio.to_thread(client.start_conversation, url, token, voice)
            asked.append(Asked(each.kind, each.stages, await client.listen(conversation, token, **question)))
        except client.AnswerError as error:
            failures.append(str(error))
        await asyncio.sleep(SETTLING_SECONDS)
    return asked


def _heading(model: str) -> str:
    return f"""\
Response times of the embedded engines, language model: {model or "the default"}
{os.cpu_count()} cores, Python {platform.python_version()}, counts to a million in {report.loop_ms():.0f} ms; \
load {os.getloadavg()[0]:.1f}

each stage alone:
kind      hear   think   speak     sum   sound of the first segment"""


def _stage_line(asked: Asked) -> str:
    each = asked.stages
    figures = "".join(f"{seconds:6.2f} s" for seconds in (each.hear, each.think, each.speak, each.total))
    return f"{asked.kind:6}{figures}   {each.segment_seconds:.1f} s “{each.segment}”"


def _results(asked: Sequence[Asked], megabytes: float) -> str:
    lines = ["", "whole turns:", "kind    first audio   × its stages   longest silence   sound   last of it arrived"]
    lines += map(_turn_line, asked)
    return "\n".join([*lines, "", *_verdicts(asked, megabytes)])


def _turn_line(asked: Asked) -> str:
    if not asked.stages.total:
        ratio = "–"
    elif asked.is_comparable:
        ratio = f"{asked.first_audio / asked.stages.total:.2f}"
    else:
        ratio = f"“{asked.chunks[0].segment}”"
    return (
        f"{asked.kind:6}{asked.first_audio:11.2f} s{ratio:>15}{asked.longest_silence:16.2f} s"
        f"{asked.spoken_seconds:6.1f} s{asked.chunks[-1].arrived:16.1f} s"
    )


def _verdicts(asked: Sequence[Asked], megabytes: float) -> Iterable[str]:
    scale = max(1.0, report.loop_ms() / REFERENCE_MS)
    for kind, limit in (("typed", MAX_TYPED_SECONDS), ("spoken", MAX_SPOKEN_SECONDS)):
        turns = [each for each in asked if each.kind == kind]
        if not turns:
            continue
        first_audio = median(each.first_audio for each in turns)
        yield _verdict(f"{kind}: first audio p50", first_audio, limit * scale, "s")
        if ratios := [each.first_audio / each.stages.total for each in turns if each.is_comparable]:
            yield _verdict(f"{kind}: first audio relative to its stages alone, p50", median(ratios), MAX_RATIO, "×")
        yield _verdict(
            f"{kind}: longest silence", max(each.longest_silence for each in turns), MAX_SILENCE_SECONDS, "s"
        )
    yield _verdict("memory of the application", megabytes, MAX_MEGABYTES, "MB")


def _verdict(name: str, value: float, limit: float, unit: str) -> str:
    return f"{name:56}{value:8.2f} {unit:2}   ≤ {limit:7.2f} {unit:2}   {'ok' if value <= limit else 'over'}"


if __name__ == "__main__":
    sys.exit(main())
