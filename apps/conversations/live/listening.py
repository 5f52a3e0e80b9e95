"""The sound of a live session: to speech to text as it comes, and to the turn taking that finds questions in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apps.conversations.live.config import TurnDetection
from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.audio.turn_taking import Event, MaybeEnded, SpeechResumed, SpeechStarted, TurnSettings, TurnTaking
from apps.speech.base import LIVE_SAMPLE_RATE, LiveTranscription, Transcript
from apps.usage.metering import Used

# Push-to-talk: after so much silence, what was said is known. It never ends a question.
PUSH_TO_TALK = TurnSettings(mode="server_vad", ask_after_ms=96, silence_duration_ms=10**9)


class Listening:
    """Hears one person. `on_turn` gets the events of turn taking; without turn detection, questions end by commit."""

    def __init__(
        self,
        transcription: LiveTranscription,
        turn_end: TurnEnd | None,
        detection: TurnDetection | None,
        *,
        on_turn: Callable[[Event], None],
    ) -> None:
        self._transcription = transcription
        self._turn_end = turn_end
        self._on_turn = on_turn
        self._judging: set[asyncio.Task[None]] = set()
        self._heard_bytes = 0  # Of the question, by speech to text.
        self._paid_seconds = 0.0
        self.detection = detection
        self.turns = TurnTaking(_settings(detection), sample_rate=LIVE_SAMPLE_RATE, asks=turn_end is not None)

    def detect(self, detection: TurnDetection | None) -> None:
        """Take turns by `detection` from now on, or None for push-to-talk."""
        self.detection = detection
        self.turns.change(_settings(detection), asks=self._turn_end is not None)
        self._heard_bytes = len(self.turns.question_pcm())

    def transcribe_with(self, transcription: LiveTranscription, question_pcm: bytes) -> None:
        """Let `transcription` hear from now on, and what has been said of the question so far."""
        self._transcription, self._paid_seconds = transcription, 0.0
        if question_pcm:
            self._tell(question_pcm)
            self._heard_bytes = len(self.turns.question_pcm())

    def hear(self, pcm: bytes, *, is_asking: bool) -> None:
        """Take the next sound. `is_asking` tells whether it belongs to a question that has begun."""
        if is_asking:
            self._tell(pcm)
        for event in self.turns.feed(pcm):
            if isinstance(event, SpeechStarted | SpeechResumed) and self.detection is not None:
                self._catch_up(event)
            elif isinstance(event, MaybeEnded):
                self._transcription.likely_end()
                self._ask(event)
            self._on_turn(event)

    def commit(self) -> asyncio.Task[Transcript]:
        """End the question for speech to text; return its coming transcript."""
        return asyncio.create_task(_transcript(self._transcription))

    def pay(self, used: Used) -> str:
        """Add to `used` what speech to text was sent since the last time, in vain or not. Return who hears."""
        sent = self._transcription.sent_seconds
        unpaid, self._paid_seconds = sent - self._paid_seconds, sent
        if unpaid > 0:
            used.hear(unpaid, engine=self._transcription.name)
        return self._transcription.name

    def question_pcm(self) -> bytes:
        return self.turns.question_pcm()

    def forget(self) -> None:
        """Forget the question that is being asked."""
        self._transcription.clear()
        self.turns.start_over()

    def forget_words(self) -> None:
        """Forget what speech to text has heard of the question that is being asked."""
        self._transcription.clear()

    def close(self) -> None:
        for task in self._judging:
            task.cancel()

    def _catch_up(self, event: SpeechStarted | SpeechResumed) -> None:
        """Tell speech to text what came before the speech was noticed."""
        sound = self.turns.question_pcm()
        if isinstance(event, SpeechStarted):
            self._heard_bytes = 0
        elif not event.after_end:
            return
        self._tell(sound[self._heard_bytes :])

    def _tell(self, pcm: bytes) -> None:
        self._heard_bytes += len(pcm)
        self._transcription.hear(pcm)

    def _ask(self, question: MaybeEnded) -> None:
        if self._turn_end is None or self.detection is None or self.detection.type != "semantic_vad":
            return
        task = asyncio.create_task(self._judge(self._turn_end, question))
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def _judge(self, turn_end: TurnEnd, question: MaybeEnded) -> None:
        probability = await asyncio.to_thread(turn_end.probability, self.turns.recent_samples())
        for event in self.turns.judge(probability, question):
            self._on_turn(event)


def _settings(detection: TurnDetection | None) -> TurnSettings:
    return PUSH_TO_TALK if detection is None else detection.turn_settings()


async def _transcript(transcription: LiveTranscription) -> Transcript:
    return await transcription.commit()
