"""Turn taking: when a person begins to speak, pauses, goes on, and has finished, from sound alone.

Everything here is synchronous and pure. The clock counts the samples that have arrived, so time passes only with
sound. The caller feeds sound and acts on the events:

    SpeechStarted → MaybeEnded → Ended                  a question
                    MaybeEnded → SpeechResumed → …      a pause in it
                                 Ended → SpeechResumed  it was no end: the answer is thrown away, the question goes on
    SpeechStarted → FalseStart                          a cough during the answer, which goes on

At `MaybeEnded` the caller may begin a reply on trust. With a model of turn ends, it asks the model about
`recent_samples()` in a thread, and tells the result to `judge`. Whatever happens, `question_pcm()` has all sound of the
question, from a little before its first word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from apps.speech.audio import voice_activity
from apps.speech.audio.answer_echo import AnswerEcho
from apps.speech.audio.turn_ends import WINDOW_SAMPLES
from apps.speech.audio.voice_activity import FRAME_MS, Frames, VoiceActivity

if TYPE_CHECKING:
    from apps.speech.audio.voice_activity import Samples

Mode = Literal["server_vad", "semantic_vad"]
Eagerness = Literal["low", "medium", "high", "auto"]
Reason = Literal["complete", "longest_pause", "silence"]

# Speech has to become less probable than it was at its start to count as silence.
HYSTERESIS, LEAST_OFF = 0.15, 0.01
# In a pause, shorter sound than this is no speech.
RESUMED_MS = 64
# Silence after which the model is asked again: it hears how long the pause is.
ASK_AGAIN_MS = (500, 900, 1500)
# How much silence ends a turn, by the probability that it has ended; in between, it is interpolated. Below the first
# probability, only the longest pause ends it.
SILENCE_NEEDED_MS = ((0.1, 2000), (0.5, 900), (0.7, 500), (0.9, 200))
LONGEST_PAUSE_MS: dict[Eagerness, int] = {"low": 4000, "medium": 2500, "auto": 2500, "high": 1500}
# Without a word of the answer for so long, what is said next is a new question.
LATEST_REVISION_MS = 10_000
# Sound before the present that is kept while nobody speaks, in addition to the prefix: a start is noticed late.
NOTICED_LATE_MS = 500


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How turns are taken. Times are in ms, thresholds are speech probabilities.

    `silence_ms` of silence end a turn in the mode server_vad, and where no model of turn ends is installed; in the mode
    semantic_vad, the model decides, and `longest_pause_ms` end it at the latest. While an answer plays, speech has to
    last `interruption_ms`; if it ends before `false_start_ms` without words, it was none. Speech within `revision_ms`
    after the answer begins belongs to the question before.
    """

    mode: Mode = "semantic_vad"
    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500
    ask_after_ms: int = 200
    longest_pause_ms: int = 2500
    speech_ms: int = 64
    interruption_ms: int = 128
    interruption_threshold: float = 0.7
    false_start_ms: int = 450
    revision_ms: int = 1000

    @property
    def off_threshold(self) -> float:
        return max(self.threshold - HYSTERESIS, LEAST_OFF)

    def with_eagerness(self, eagerness: Eagerness) -> TurnSettings:
        return replace(self, longest_pause_ms=LONGEST_PAUSE_MS[eagerness])


# All times are in ms of the session's sound.


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A person has begun to speak at `start_ms`. `interrupts` tells whether the answer was playing."""

    start_ms: int
    interrupts: bool = False


@dataclass(frozen=True, slots=True)
class MaybeEnded:
    """Nothing was said since `end_ms`. The first one of a pause has the number 0; the next ones ask the model again."""

    end_ms: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The question goes on at `start_ms`. `after_end` tells whether it had been given out as ended."""

    start_ms: int
    after_end: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    end_ms: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class FalseStart:
    """What interrupted the answer was too short, and no word. The answer goes on."""

    start_ms: int
    end_ms: int


Event = SpeechStarted | MaybeEnded | SpeechResumed | Ended | FalseStart


class _State(Enum):
    WAITING = auto()
    SPEAKING = auto()
    PAUSING = auto()
    ENDED = auto()


class TurnTaking:
    """The turns of one conversation. `asks` tells whether there is a model of turn ends to ask."""

    def __init__(self, settings: TurnSettings, *, sample_rate: int, asks: bool) -> None:
        self.change(settings, asks=asks)
        self._sample_rate = sample_rate
        self._frames = Frames(sample_rate)
        self._activity = VoiceActivity()
        self._echo = AnswerEcho()
        self._recent = np.zeros(0, np.float32)
        self._sound = bytearray()
        self._sound_start_ms = 0
        self._now_ms = 0
        self._state = _State.WAITING
        self._run_ms, self._run_start_ms = 0, 0  # Speech that has not been noticed yet.
        self._start_ms, self._end_ms = 0, 0
        self._part_start_ms = 0  # Of the speech since the last pause.
        self._interrupts = self._has_words = False
        self._asked = 0
        self._probability: float | None = None
        self._ended_ms = 0
        self._heard_ms: int | None = None

    @property
    def now_ms(self) -> int:
        return self._now_ms

    @property
    def is_in_question(self) -> bool:
        """Whether a question has begun that was not given out as ended."""
        return self._state in (_State.SPEAKING, _State.PAUSING)

    def change(self, settings: TurnSettings, *, asks: bool) -> None:
        """Take turns by other settings from now on, also in a question that has begun."""
        self._settings = settings
        self._asks = asks and settings.mode == "semantic_vad"

    def feed(self, pcm: bytes) -> list[Event]:
        """Take mono s16le sound in pieces of any length, and return what has happened in it."""
        self._sound += pcm
        frames = self._frames.feed(pcm)
        events: list[Event] = []
        activity = zip(self._activity.probabilities(frames), voice_activity.levels(frames), strict=True)
        for frame, (probability, level) in zip(frames, activity, strict=True):
            self._recent = np.concatenate([self._recent, frame])[-WINDOW_SAMPLES:]
            events += self._hear(float(probability), float(level))
        self._forget_old_sound()
        return events

    def judge(self, probability: float, question: MaybeEnded) -> list[Event]:
        """Take the model's answer to `question`. It is ignored if the person has gone on speaking meanwhile."""
        if self._state is not _State.PAUSING or question.end_ms != self._end_ms:
            return []
        self._probability = probability
        return self._end_if_over()

    def recent_samples(self) -> Samples:
        """Return the last eight seconds at 16 kHz, or what there is of them. Shape (samples,)."""
        return self._recent

    def question_pcm(self) -> bytes:
        """Return the sound of the question as it came, from before its first word until now; b"" without a question."""
        if self._state is _State.WAITING:
            return b""
        return bytes(self._sound[self._offset(self._start_ms - self._settings.prefix_ms) :])

    def words_heard(self) -> None:
        """Speech to text has found words since the last SpeechStarted, so it is no false start."""
        self._has_words = True

    def answer_sent(self, pcm: bytes, *, sample_rate: int) -> None:
        """Take sound of the answer when it is sent to be played after what was sent before."""
        self.answer_heard()
        self._echo.sent(pcm, sample_rate=sample_rate, frame=self._now_ms // FRAME_MS)

    def answer_stopped(self) -> None:
        """What was sent of the answer and not played yet was thrown away."""
        self._echo.stopped(self._now_ms // FRAME_MS)

    def answer_heard(self) -> None:
        """The person has got something of the answer, and so knows that the question is over."""
        if self._heard_ms is None:
            self._heard_ms = self._now_ms

    def start_over(self) -> None:
        """Forget the question: it was taken in another way, or is not wanted."""
        self._state = _State.WAITING
        self._run_ms = 0

    def _hear(self, probability: float, level: float) -> list[Event]:
        """Take one frame."""
        frame = self._now_ms // FRAME_MS
        self._now_ms += FRAME_MS
        if self._echo.covers(frame, level):
            probability = 0.0
        self._measure_run(probability, is_interrupting=self._echo.is_playing(frame))
        match self._state:
            case _State.SPEAKING:
                return self._go_on(is_speech=probability >= self._settings.off_threshold)
            case _State.PAUSING:
                return self._resume() if self._run_ms >= RESUMED_MS else self._pause()
            case _:
                return self._start(is_interrupting=self._echo.is_playing(frame))

    def _measure_run(self, probability: float, *, is_interrupting: bool) -> None:
        settings = self._settings
        needed = settings.threshold
        if is_interrupting:
            needed = max(needed, settings.interruption_threshold)
        if probability >= needed:
            if not self._run_ms:
                self._run_start_ms = self._now_ms - FRAME_MS
            self._run_ms += FRAME_MS
        elif probability < settings.off_threshold:
            self._run_ms = 0

    def _start(self, *, is_interrupting: bool) -> list[Event]:
        settings = self._settings
        if self._run_ms < (settings.interruption_ms if is_interrupting else settings.speech_ms):
            return []
        if self._state is _State.ENDED and self._may_revise():
            return self._resume()
        self._interrupts, self._has_words = is_interrupting, False
        self._start_ms = self._run_start_ms
        self._heard_ms = None
        self._speak()
        return [SpeechStarted(self._start_ms, interrupts=is_interrupting)]

    def _may_revise(self) -> bool:
        """Tell whether the speech that begins may belong to the question that was given out as ended."""
        if self._heard_ms is not None:
            return self._run_start_ms - self._heard_ms <= self._settings.revision_ms
        return self._run_start_ms - self._ended_ms <= LATEST_REVISION_MS

    def _resume(self) -> list[Event]:
        after_end = self._state is _State.ENDED
        if after_end:
            self._heard_ms = None
        self._speak()
        return [SpeechResumed(self._part_start_ms, after_end=after_end)]

    def _speak(self) -> None:
        self._state = _State.SPEAKING
        self._part_start_ms, self._end_ms = self._run_start_ms, self._now_ms
        self._probability, self._asked = None, 0

    def _go_on(self, *, is_speech: bool) -> list[Event]:
        if is_speech:
            self._end_ms = self._now_ms
            return []
        if self._silence_ms < self._ask_after_ms:
            return []
        if self._is_false_start():
            self._state = _State.WAITING
            return [FalseStart(self._start_ms, self._end_ms)]
        self._state = _State.PAUSING
        return self._ask()

    def _is_false_start(self) -> bool:
        length = self._end_ms - self._start_ms
        return self._interrupts and not self._has_words and length < self._settings.false_start_ms

    @property
    def _silence_ms(self) -> int:
        return self._now_ms - self._end_ms

    @property
    def _ask_after_ms(self) -> int:
        settings = self._settings
        return settings.ask_after_ms if self._asks else min(settings.ask_after_ms, settings.silence_ms)

    def _ask(self) -> list[Event]:
        self._asked += 1
        return [MaybeEnded(self._end_ms, self._asked - 1)]

    def _pause(self) -> list[Event]:
        if self._asks and self._asked <= len(ASK_AGAIN_MS) and self._silence_ms >= ASK_AGAIN_MS[self._asked - 1]:
            return [*self._end_if_over(), *self._ask()]
        return self._end_if_over()

    def _end_if_over(self) -> list[Event]:
        reason = self._reason_to_end()
        if reason is None:
            return []
        self._state = _State.ENDED
        self._ended_ms, self._heard_ms = self._now_ms, None
        self._run_ms = 0
        return [Ended(self._end_ms, reason)]

    def _reason_to_end(self) -> Reason | None:
        if not self._asks:
            return "silence" if self._silence_ms >= self._settings.silence_ms else None
        if self._probability is not None and self._silence_ms >= silence_needed(self._probability):
            return "complete"
        return "longest_pause" if self._silence_ms >= self._settings.longest_pause_ms else None

    def _forget_old_sound(self) -> None:
        """Keep the sound of the question, or without one, what may yet become its beginning."""
        settings = self._settings
        kept_ms = self._now_ms - NOTICED_LATE_MS - settings.prefix_ms
        if self._state is not _State.WAITING and (self._state is not _State.ENDED or self._may_be_revised_now()):
            kept_ms = self._start_ms - settings.prefix_ms
        if kept_ms - self._sound_start_ms > NOTICED_LATE_MS:  # Not for every piece: it moves all that is kept.
            del self._sound[: self._offset(kept_ms)]
            self._sound_start_ms = kept_ms

    def _may_be_revised_now(self) -> bool:
        limit = LATEST_REVISION_MS + self._ended_ms
        if self._heard_ms is not None:
            limit = self._heard_ms + self._settings.revision_ms
        return self._now_ms - NOTICED_LATE_MS <= limit

    def _offset(self, ms: int) -> int:
        """Return where in the kept sound `ms` is, in bytes."""
        return 2 * max(0, (ms - self._sound_start_ms) * self._sample_rate // 1000)


def silence_needed(probability: float) -> float:
    """Return how many ms of silence end a turn that has ended with `probability`."""
    if probability < SILENCE_NEEDED_MS[0][0]:
        return float("inf")
    for (low, longer), (high, shorter) in pairwise(SILENCE_NEEDED_MS):
        if probability < high:
            return longer - (longer - shorter) * (probability - low) / (high - low)
    return SILENCE_NEEDED_MS[-1][1]
