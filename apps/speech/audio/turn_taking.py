"""Turn taking: when a person begins to speak, pauses, goes on, and has finished, from sound alone.

Everything here is synchronous and pure. The clock counts the samples that have arrived, so time passes only with
sound. The caller feeds sound and acts on the events:

    SpeechStarted → MaybeEnded → Ended                  a question
                    MaybeEnded → SpeechResumed → …      a pause in it
                                 Ended → SpeechResumed  it was no end: the question goes on, the answer was for nothing
    SpeechStarted → FalseStart                          a cough

At `MaybeEnded` the caller may begin a reply on trust. With a model of turn ends, it asks the model about
`recent_samples()` in a thread, and tells the result to `judge`. Whatever happens, `question_pcm()` has all sound of the
question, from a little before its first word.

Speech during an answer stops it at once, but the caller should keep the rest: after a `FalseStart` it goes on. Any
other event says that it was speech.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal

import numpy as np

from apps.speech.audio import voice_activity
from apps.speech.audio.answer_echo import AnswerEcho
from apps.speech.audio.turn_ends import WINDOW_SAMPLES
from apps.speech.audio.voice_activity import FRAME_MS, FRAME_SAMPLES, SILENCE_DB, Frames, VoiceActivity

if TYPE_CHECKING:
    from apps.speech.audio.voice_activity import Samples

Mode = Literal["server_vad", "semantic_vad"]
Eagerness = Literal["low", "medium", "high", "auto"]
Reason = Literal["complete", "longest_pause", "silence"]

# Speech has to become less probable than it was at its start to count as silence.
HYSTERESIS, LEAST_OFF = 0.15, 0.01
# In a pause, shorter sound than this is no speech.
RESUMED_MS = 96
# The network notices an end about 40 ms late: silence of 160 ms is known 200 ms after the last word.
ASK_AFTER_MS = 160
# The model of turn ends hears this much of the silence, and the 40 ms. With more, it takes more pauses for ends.
JUDGED_SILENCE_MS = 64
# How much silence ends a turn, by the probability that it has ended; in between, it is interpolated. Below the lowest
# probability, only the longest pause ends it. A reply that was begun on trust is not ready before 500 ms, so that
# waiting for so long costs no time.
ENDED_PROBABILITIES, SILENCE_NEEDED_MS = (0.2, 0.4, 0.7, 0.9), (2000, 900, 700, 500)
PATIENCE: dict[Eagerness, float] = {"low": 1.6, "medium": 1.0, "auto": 1.0, "high": 0.6}
# No speech is so quiet. Of such sound, this many pieces are heard at once.
QUIETEST_SPEECH_DB, MOST_UNHEARD = -60.0, 8
# Music may be as probable as the threshold for long. Speech soon becomes more probable.
PEAK_ABOVE_THRESHOLD, HIGHEST_PEAK = 0.2, 0.9
# Quiet frames while an answer plays may be consonants, but so many in a row are not.
BETWEEN_FRAMES = 4
# A cough begins with a burst that is no speech, and as loud as its voiced rest. After one, an interruption has to last.
BURST_FRAMES, BURST_BELOW_SPEECH_DB, AFTER_BURST_MS = 8, 3.0, 320
# Without a word of the answer for so long, what is said next is a new question.
LATEST_REVISION_MS = 10_000
# Sound that is kept while nobody speaks, in addition to the prefix: a start is noticed late.
NOTICED_LATE_MS = 500


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How turns are taken. Times are in ms, `threshold` is a speech probability.

    `silence_duration_ms` ends a turn in the mode server_vad, and where no model of turn ends is installed. In the mode
    semantic_vad, the model decides, and `longest_pause_ms` ends a turn at the latest; `eagerness` shortens or prolongs
    both. While an answer plays, speech has to last `interruption_ms` instead of `speech_ms`. Speech that ends before
    `false_start_ms` without words was none. Speech within `revision_ms` after the first sound of an answer still
    belongs to its question.
    """

    mode: Mode = "semantic_vad"
    eagerness: Eagerness = "auto"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    ask_after_ms: int = ASK_AFTER_MS
    longest_pause_ms: int = 2500
    speech_ms: int = 96
    interruption_ms: int = 128
    false_start_ms: int = 250
    revision_ms: int = 1500

    @property
    def off_threshold(self) -> float:
        return max(self.threshold - HYSTERESIS, LEAST_OFF)

    def silence_needed_ms(self, probability: float) -> float:
        """Return how much silence ends a turn that has ended with `probability`."""
        if probability < ENDED_PROBABILITIES[0]:
            return self.longest_pause_ms * PATIENCE[self.eagerness]
        return float(np.interp(probability, ENDED_PROBABILITIES, SILENCE_NEEDED_MS)) * PATIENCE[self.eagerness]


# All times are in ms of the session's sound.


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A person has begun to speak at `start_ms`. `interrupts` tells whether the answer was playing."""

    start_ms: int
    interrupts: bool = False


@dataclass(frozen=True, slots=True)
class MaybeEnded:
    """Nothing was said since `end_ms`."""

    end_ms: int


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
    """What began at `start_ms` was too short, and no word. What was before it goes on."""

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
        self._unheard: list[Samples] = []
        self._echo = AnswerEcho()
        self._recent: deque[Samples] = deque(maxlen=WINDOW_SAMPLES // FRAME_SAMPLES + NOTICED_LATE_MS // FRAME_MS)
        self._sound = bytearray()
        self._sound_start_ms = 0
        self._now_ms = 0
        self._state = self._state_before = _State.WAITING
        self._start_ms, self._end_ms, self._ended_ms = 0, 0, 0
        self._speech_start_ms = 0  # Of the speech since the last pause.
        self._quiet_ms = 0  # No voice since then, not even that of the answer.
        self._interrupts = self._has_words = False
        self._probability: float | None = None
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
        self._run = _Run(settings)

    def feed(self, pcm: bytes) -> list[Event]:
        """Take mono s16le sound in pieces of any length, and return what has happened in it."""
        self._sound += pcm
        frames = self._frames.feed(pcm)
        levels = voice_activity.levels(frames)
        probabilities = self._probabilities(frames, is_quiet=bool((levels < QUIETEST_SPEECH_DB).all()))
        events: list[Event] = []
        for frame, probability, level in zip(frames, probabilities, levels, strict=True):
            self._recent.append(frame)
            events += self._hear(float(probability), float(level))
        self._forget_old_sound()
        return events

    def _probabilities(self, frames: Samples, *, is_quiet: bool) -> Samples:
        """Return the speech probabilities of `frames`.

        While nobody speaks, quiet frames are none, and wait for others: the network takes many at once in less time.
        """
        self._unheard.append(frames)
        if is_quiet and not self.is_in_question and len(self._unheard) < MOST_UNHEARD:
            return np.zeros(len(frames), np.float32)
        probabilities = self._activity.probabilities(np.concatenate(self._unheard))
        self._unheard.clear()
        return probabilities[len(probabilities) - len(frames) :]

    def judge(self, probability: float, question: MaybeEnded) -> list[Event]:
        """Take the model's answer to `question`. It is ignored if the person has gone on speaking meanwhile."""
        if self._state is not _State.PAUSING or question.end_ms != self._end_ms:
            return []
        self._probability = probability
        return self._end_if_over()

    def recent_samples(self) -> Samples:
        """Return what the model is to judge: eight seconds at 16 kHz or less, with little of the silence at the end.

        Shape (samples,).
        """
        surplus = max(0, self._silence_ms - JUDGED_SILENCE_MS) // FRAME_MS if self._state is _State.PAUSING else 0
        frames = list(self._recent)
        return np.concatenate(frames[: len(frames) - surplus] or [np.zeros(0, np.float32)])[-WINDOW_SAMPLES:]

    def question_pcm(self) -> bytes:
        """Return the sound of the question as it came, from before its first word until now.

        Without a question, and when the last one can no longer go on, it is b"".
        """
        if self._state is _State.WAITING:
            return b""
        return bytes(self._sound[self._offset(self._start_ms - self._settings.prefix_padding_ms) :])

    def words_heard(self) -> None:
        """Speech to text has found words since speech began, so it is no false start."""
        self._has_words = True

    def answer_sent(self, pcm: bytes, *, sample_rate: int) -> None:
        """Take sound of the answer, which is played from now on, or after what was sent before."""
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
        self._run.end()

    def _hear(self, probability: float, level: float) -> list[Event]:
        """Take one frame."""
        frame = self._now_ms // FRAME_MS
        self._now_ms += FRAME_MS
        may_be_echo = self._echo.covers(frame, level)
        self._run.hear(probability, level, start_ms=self._now_ms - FRAME_MS, may_be_echo=may_be_echo)
        match self._state:
            case _State.SPEAKING:
                return self._go_on(is_voice=probability >= self._settings.off_threshold, may_be_echo=may_be_echo)
            case _State.PAUSING:
                return self._resume() if self._run.length_ms >= RESUMED_MS else self._end_if_over()
            case _:
                return self._start(interrupts=self._echo.is_playing(frame))

    def _start(self, *, interrupts: bool) -> list[Event]:
        if not self._run.is_start(interrupts=interrupts):
            return []
        self._interrupts, self._has_words = interrupts, False
        if self._state is _State.ENDED and self._may_revise(self._run.start_ms):
            return self._resume()
        self._start_ms = self._run.start_ms
        self._speak(before=_State.WAITING)
        return [SpeechStarted(self._start_ms, interrupts=interrupts)]

    def _may_revise(self, ms: int) -> bool:
        """Tell whether speech at `ms` belongs to the question that was given out as ended."""
        if self._heard_ms is None:
            return ms <= self._ended_ms + LATEST_REVISION_MS
        return ms <= self._heard_ms + self._settings.revision_ms

    def _resume(self) -> list[Event]:
        after_end = self._state is _State.ENDED
        self._speak(before=self._state)
        return [SpeechResumed(self._speech_start_ms, after_end=after_end)]

    def _speak(self, *, before: _State) -> None:
        self._state_before, self._state = before, _State.SPEAKING
        self._speech_start_ms = self._run.start_ms
        self._end_ms = self._quiet_ms = self._now_ms

    def _go_on(self, *, is_voice: bool, may_be_echo: bool) -> list[Event]:
        if is_voice:
            self._quiet_ms = self._now_ms
            if not may_be_echo:
                self._end_ms = self._now_ms
            return []
        if self._silence_ms < self._ask_after_ms:
            return []
        if self._is_false_start():
            self._state = self._state_before
            return [FalseStart(self._speech_start_ms, self._end_ms)]
        self._state = _State.PAUSING
        self._probability = self._heard_ms = None
        return [MaybeEnded(self._end_ms)]

    def _is_false_start(self) -> bool:
        """Tell whether it was no speech. A short word in a pause of a question is one, unless an answer plays."""
        may_be = self._state_before is _State.WAITING or (self._state_before is _State.ENDED and self._interrupts)
        is_short = self._end_ms - self._speech_start_ms < self._settings.false_start_ms
        return may_be and is_short and not self._has_words

    @property
    def _silence_ms(self) -> int:
        return self._now_ms - self._quiet_ms

    @property
    def _ask_after_ms(self) -> int:
        settings = self._settings
        return settings.ask_after_ms if self._asks else min(settings.ask_after_ms, settings.silence_duration_ms)

    def _end_if_over(self) -> list[Event]:
        reason = self._reason_to_end()
        if reason is None:
            return []
        self._state = _State.ENDED
        self._ended_ms = self._now_ms
        self._run.end()
        return [Ended(self._end_ms, reason)]

    def _reason_to_end(self) -> Reason | None:
        settings, silence_ms = self._settings, self._silence_ms
        if not self._asks:
            return "silence" if silence_ms >= settings.silence_duration_ms else None
        if silence_ms >= settings.silence_needed_ms(0):
            return "longest_pause"
        is_judged = self._probability is not None and silence_ms >= settings.silence_needed_ms(self._probability)
        return "complete" if is_judged else None

    def _forget_old_sound(self) -> None:
        """Keep the sound of the question, or without one, what may yet become its beginning."""
        if self._state is _State.ENDED and not self._may_revise(self._now_ms - NOTICED_LATE_MS):
            self._state = _State.WAITING
        first_ms = self._now_ms - NOTICED_LATE_MS if self._state is _State.WAITING else self._start_ms
        surplus_ms = first_ms - self._settings.prefix_padding_ms - self._sound_start_ms
        if surplus_ms > NOTICED_LATE_MS:  # Not for every piece: it moves all that is kept.
            del self._sound[: self._offset(self._sound_start_ms + surplus_ms)]
            self._sound_start_ms += surplus_ms

    def _offset(self, ms: int) -> int:
        """Return where in the kept sound `ms` is, in bytes."""
        return 2 * max(0, (ms - self._sound_start_ms) * self._sample_rate // 1000)


class _Run:
    """Frames of speech in a row, before they count as speech."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self.start_ms = self.length_ms = 0
        self._peak, self._echoes = 0.0, 0
        self._level = self._burst = SILENCE_DB
        self._before: deque[float] = deque([SILENCE_DB], maxlen=BURST_FRAMES)

    def hear(self, probability: float, level: float, *, start_ms: int, may_be_echo: bool) -> None:
        self._echoes = self._echoes + 1 if may_be_echo else 0
        if may_be_echo:  # Between the loud parts of words that are spoken over the answer.
            if self._echoes > BETWEEN_FRAMES:
                self.end()
        elif probability >= self._settings.threshold:
            if not self.length_ms:
                self.start_ms, self._burst = start_ms, max(self._before)
                self._peak, self._level = probability, level
            self.length_ms += FRAME_MS
            self._peak, self._level = max(self._peak, probability), max(self._level, level)
        elif probability < self._settings.off_threshold:
            self.end()
        self._before.append(SILENCE_DB if self.length_ms else level)

    def end(self) -> None:
        self.length_ms = 0

    def is_start(self, *, interrupts: bool) -> bool:
        """Tell whether somebody begins to speak. While an answer plays, it takes more to say so."""
        if self._peak < min(self._settings.threshold + PEAK_ABOVE_THRESHOLD, HIGHEST_PEAK):
            return False
        if not interrupts:
            return self.length_ms >= self._settings.speech_ms
        after_burst = self._burst > self._level - BURST_BELOW_SPEECH_DB
        return self.length_ms >= (AFTER_BURST_MS if after_burst else self._settings.interruption_ms)
