"""Measure whose turn it is: how often a pause is taken for the end of a question, and how late a true end is noticed.

Recorded sentences of several people are played in real order, with and without a pause at a word boundary, over quiet
noise. An answer is heard as soon as the question has ended, but not earlier than a reply that is begun on trust can be.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import django
import numpy as np

from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.audio.turn_taking import (
    Ended,
    Event,
    FalseStart,
    MaybeEnded,
    SpeechResumed,
    SpeechStarted,
    TurnSettings,
    TurnTaking,
)
from bench import load
from bench.report import percentile
from tests.disturbances import cough, noise

if TYPE_CHECKING:
    from apps.speech.audio.voice_activity import Samples
    from tests.disturbances import Samples as Sound

RATE = 24_000
CHUNK_MS = 40
NOISE_DB = -62.0
LEAD_SECONDS, TAIL_SECONDS = 0.8, 4.0
PAUSES = (0.3, 0.5, 0.8, 1.2, 1.7, 2.0)
LONG_PAUSE, PLACES = 1.7, (0.2, 0.35, 0.5, 0.65, 0.8)
LATE_MS = 1000
# From MaybeEnded to the first audio of a reply that is begun on trust, and what the model of turn ends takes.
REPLY_MS = round(1000 * (load.HEAR_SECONDS + load.FIRST_TOKEN_SECONDS + load.FIRST_AUDIO_SECONDS))
JUDGING_MS = 80
ANSWER_DB, SPEECH_DB = -20.0, -26.0
ECHO_DB, ECHO_DELAY_SECONDS = -20.0, 0.15
SPEECH_RANGE_DB = 32  # Below its loudest 10 ms, a sentence has not begun or is over.
SETTINGS = {
    "server_vad, 500 ms": TurnSettings(mode="server_vad", silence_duration_ms=500),
    "semantic_vad, eagerness low": TurnSettings(eagerness="low"),
    "semantic_vad (default)": TurnSettings(),
    "semantic_vad, eagerness high": TurnSettings(eagerness="high"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Sound with one question in it. Times are in ms."""

    name: str
    sound: Sound
    last_word_ms: float


@dataclass(slots=True)
class Outcome:
    """What happened in a scene: each event with the time at which it was known."""

    scene: Scene
    events: list[tuple[int, Event]] = field(default_factory=list)
    answered_ms: list[int] = field(default_factory=list)

    def times(self, kind: type[Event]) -> list[int]:
        return [known_ms for known_ms, event in self.events if isinstance(event, kind)]

    @property
    def early_ends(self) -> int:
        return sum(known_ms < self.scene.last_word_ms for known_ms in self.times(Ended))

    @property
    def early_answers(self) -> int:
        return sum(heard_ms < self.scene.last_word_ms for heard_ms in self.answered_ms)

    @property
    def is_whole(self) -> bool:
        return len(self.times(SpeechStarted)) == 1

    @property
    def delay_ms(self) -> float:
        """From the last word until the end is certain."""
        return max(self.times(Ended), default=10**6) - self.scene.last_word_ms


class Judge:
    """The model of turn ends. It judges the same sound only once, and measures what that costs."""

    def __init__(self, path: Path) -> None:
        self._model = TurnEnd(path)
        self._known: dict[bytes, float] = {}
        self.seconds: list[float] = []

    def probability(self, samples: Samples) -> float:
        key = hashlib.sha256(samples.tobytes()).digest()
        if key not in self._known:
            started = time.process_time()
            self._known[key] = self._model.probability(samples)
            self.seconds.append(time.process_time() - started)
        return self._known[key]


def main() -> int:
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    django.setup()
    from apps.speech.configs import local_config

    judge = Judge(options.model or local_config().turn_ends_path)
    sentences = list(_sentences())
    _say(f"{len(sentences)} sentences, {len(PAUSES)} lengths of a pause in each, {NOISE_DB:.0f} dBFS of noise\n")
    heading = (
        "                              ended in a pause   answered  split   late   end known p50   p95  judged a turn"
    )
    _say(heading)
    for name, settings in SETTINGS.items():
        _say(_line(name, settings, sentences, judge))
    _say(f"\n{_long_pauses(sentences, judge)}")
    for line in [*_disturbances(sentences), _interruptions(sentences), *_costs(sentences, judge)]:
        _say(line)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__)
    parser.add_argument("--model", type=Path, help="the weights of smart-turn (default: those in MODELS_DIR)")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _line(name: str, settings: TurnSettings, sentences: list[tuple[str, Sound]], judge: Judge) -> str:
    plain = [_play(_scene(*sentence), settings, judge) for sentence in sentences]
    paused = [
        _play(_scene(*sentence, pause=pause, place=PLACES[1 + number % 3]), settings, judge)
        for number, sentence in enumerate(sentences)
        for pause in PAUSES
    ]
    delays = [outcome.delay_ms for outcome in plain]
    judged = [len(outcome.times(MaybeEnded)) for outcome in [*plain, *paused]]
    shares = (
        _share(outcome.early_ends > 0 for outcome in paused),
        _share(outcome.early_answers > 0 for outcome in paused),
        _share(not outcome.is_whole for outcome in paused),
        _share(delay > LATE_MS for delay in delays),
    )
    columns = "".join(f"{share:{width}.0f} %" for share, width in zip(shares, (14, 11, 7, 5), strict=True))
    ends = f"{median(delays):13.0f} ms{percentile(delays, 95):6.0f} ms"
    return f"{name:30}{columns}{ends}{sum(judged) / len(judged):12.1f}"


def _share(values: Iterable[bool]) -> float:
    return 100 * float(np.mean(list(values)))


def _long_pauses(sentences: list[tuple[str, Sound]], judge: Judge) -> str:
    outcomes = [
        _play(_scene(*sentence, pause=LONG_PAUSE, place=place), TurnSettings(), judge)
        for sentence in sentences
        for place in PLACES
    ]
    whole = sum(outcome.is_whole and not outcome.times(FalseStart) for outcome in outcomes)
    revised = sum(outcome.early_ends > 0 for outcome in outcomes)
    places = len(PLACES)
    return f"a pause of {LONG_PAUSE} s in {places} places: {whole} of {len(outcomes)} heard whole ({revised} revised)"


def _disturbances(sentences: list[tuple[str, Sound]]) -> Iterator[str]:
    answer = _at_level(sentences[0][1], ANSWER_DB)
    quiet = noise(6, NOISE_DB, sample_rate=RATE)
    coughs = [cough(sample_rate=RATE, voiced=voiced, seed=seed) for voiced in (0, 0.5, 1) for seed in range(10)]
    music = _read(Path("tests/data/sentences/music.flac"))
    sounds = {
        "noise of -30 dBFS": [noise(6, -30, sample_rate=RATE, seed=2)],
        "music": [music[: 6 * RATE]],
        "30 coughs": [_added(quiet, each, 2.0) for each in coughs],
        f"the answer at {ECHO_DB:.0f} dB": [_added(quiet, _echo(answer), ECHO_DELAY_SECONDS)],
    }
    for name, each in sounds.items():
        for setting, played in (("nobody speaks", None), ("during an answer", answer)):
            outcomes = [_play(Scene(name, sound, 0), TurnSettings(), None, answer=played) for sound in each]
            starts = sum(len(outcome.times(SpeechStarted)) for outcome in outcomes)
            false = sum(len(outcome.times(FalseStart)) for outcome in outcomes)
            yield f"{name}, {setting}: {starts} starts, {false} of them taken back"


def _interruptions(sentences: list[tuple[str, Sound]]) -> str:
    """Measure how soon speech over the echo of an answer is noticed."""
    answer = _at_level(sentences[0][1], ANSWER_DB)
    delays = []
    for number, (name, sentence) in enumerate(sentences[1:]):
        begin = 1.5 + number * 0.007
        echo = _added(noise(8, NOISE_DB, sample_rate=RATE), _echo(answer), ECHO_DELAY_SECONDS)
        sound = _added(echo, _at_level(sentence[: 3 * RATE], SPEECH_DB), begin)
        outcome = _play(Scene(name, sound, 0), TurnSettings(), None, answer=answer)
        delays.append(min(outcome.times(SpeechStarted), default=10**6) - 1000 * begin)
    figures = f"p50 {median(delays):.0f} ms, p75 {percentile(delays, 75):.0f} ms, p95 {percentile(delays, 95):.0f} ms"
    return f"speech over the echo of an answer is noticed after: {figures}"


def _costs(sentences: list[tuple[str, Sound]], judge: Judge) -> Iterator[str]:
    started, seconds = time.process_time(), 0.0
    for sentence in sentences:
        outcome = _play(_scene(*sentence), TurnSettings(mode="server_vad"), None)
        seconds += len(outcome.scene.sound) / RATE
    activity = 1000 * (time.process_time() - started) / seconds
    judging = 1000 * median(judge.seconds)
    yield f"CPU for a second of sound: {activity:.1f} ms; for a judgement: {judging:.0f} ms"
    yield f"5 s of speech, 10 s of answer, 1.5 judgements: {(15 * activity + 1.5 * judging) / 1000:.2f} s of CPU"


def _play(scene: Scene, settings: TurnSettings, judge: Judge | None, *, answer: Sound | None = None) -> Outcome:
    """Feed a scene as it would arrive. With `answer`, that is played from the start on."""
    taking = TurnTaking(settings, sample_rate=RATE, asks=judge is not None)
    if answer is not None:
        taking.answer_sent(_pcm(answer), sample_rate=RATE)
    outcome, pcm, step = Outcome(scene), _pcm(scene.sound), 2 * RATE * CHUNK_MS // 1000
    judgements: list[tuple[int, MaybeEnded, float]] = []
    reply_ms, answer_ms = 0, 0
    for now_ms, start in enumerate(range(0, len(pcm), step), start=1):
        now_ms *= CHUNK_MS
        events = taking.feed(pcm[start : start + step])
        while judgements and judgements[0][0] <= now_ms:
            _when, question, probability = judgements.pop(0)
            events += taking.judge(probability, question)
        for event in events:
            outcome.events.append((now_ms, event))
            match event:
                case MaybeEnded():
                    reply_ms = now_ms + REPLY_MS
                    if judge is not None:
                        probability = judge.probability(taking.recent_samples())
                        judgements.append((now_ms + JUDGING_MS, event, probability))
                case Ended():
                    answer_ms = max(now_ms, reply_ms)
                case SpeechStarted() | SpeechResumed():
                    answer_ms = 0
        if answer_ms and now_ms >= answer_ms:
            taking.answer_heard()
            outcome.answered_ms.append(now_ms)
            answer_ms = 0
    return outcome


def _sentences() -> Iterator[tuple[str, Sound]]:
    """Yield sentences without the silence around them."""
    folder = Path("tests/data")
    for path in [*sorted(folder.glob("speech/austen-*.wav")), *sorted(folder.glob("sentences/??-*.flac"))]:
        sound = _read(path)
        loud = np.flatnonzero(_loudness(sound) > -SPEECH_RANGE_DB)
        yield path.stem, sound[loud[0] * RATE // 100 : (loud[-1] + 1) * RATE // 100]


def _read(path: Path) -> Sound:
    from apps.speech.audio.decoding import decode

    pcm = decode(path.read_bytes(), sample_rate=RATE, max_seconds=60).pcm
    sound: Sound = np.frombuffer(pcm, "<i2") / 32768
    return sound


def _loudness(sound: Sound) -> Sound:
    """Return the level of each 10 ms, relative to the loudest of them, in dB."""
    step = RATE // 100
    levels = sound[: len(sound) // step * step].reshape(-1, step).std(axis=1) + 1e-9
    loudness: Sound = 20 * np.log10(levels / levels.max())
    return loudness


def _scene(name: str, sentence: Sound, *, pause: float = 0, place: float = 0.5) -> Scene:
    """Put a sentence into quiet noise, with `pause` seconds at the quietest point near `place` (0-1)."""
    first, rest = sentence, sentence[:0]
    if pause:
        loudness = np.convolve(_loudness(sentence), np.ones(3) / 3, "same")
        low, high = (round((place + side) * len(loudness)) for side in (-0.08, 0.08))
        cut = (low + int(np.argmin(loudness[low:high]))) * RATE // 100 + RATE // 200
        first, rest = sentence[:cut], sentence[cut:]
    before, between, after = (np.zeros(round(seconds * RATE)) for seconds in (LEAD_SECONDS, pause, TAIL_SECONDS))
    sound = np.concatenate([before, first, between, rest, after])
    sound += noise(len(sound) / RATE, NOISE_DB, sample_rate=RATE)[: len(sound)]
    return Scene(name, sound, 1000 * (len(sound) / RATE - TAIL_SECONDS))


def _added(sound: Sound, other: Sound, seconds: float) -> Sound:
    start = round(seconds * RATE)
    other = other[: len(sound) - start]
    result = sound.copy()
    result[start : start + len(other)] += other
    return result


def _at_level(sound: Sound, level_db: float) -> Sound:
    """Return speech whose loud parts have `level_db` dBFS."""
    loud = np.repeat(_loudness(sound) > -SPEECH_RANGE_DB / 2, RATE // 100)
    scaled: Sound = sound * 10 ** (level_db / 20) / sound[: len(loud)][loud].std()
    return scaled


def _echo(answer: Sound) -> Sound:
    return answer * 10 ** (ECHO_DB / 20)


def _pcm(sound: Sound) -> bytes:
    return bytes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    sys.exit(main())
