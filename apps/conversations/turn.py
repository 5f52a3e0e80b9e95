"""One turn: hear the question, think of a reply, speak it. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.utils import timezone
from django.utils.text import Truncator

from apps.conversations.models import NOTHING_HEARD, NOTHING_HEARD_MESSAGE, Conversation, Turn
from apps.conversations.prompts import build_messages
from apps.conversations.sentences import SpeechChunker
from apps.speech import audio
from apps.speech.base import Message, ProviderError, Recording
from apps.speech.registry import Engines
from apps.voices.models import VoiceProfile
from apps.voices.samples import SLACK_SECONDS

QUESTION_SAMPLE_RATE = 16_000
TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Heard:
    """The question is understood."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Said:
    """The reply goes on with `delta`."""

    delta: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of the answer's sound (mono s16le), which belongs to sentence `index` of the reply, `text`."""

    index: int
    text: str
    pcm: bytes
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn is over: a stage failed. What earlier stages brought is kept."""

    stage: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The turn is over: all is said and stored."""

    reply: str
    timings: dict[str, int | None]


TurnEvent = Heard | Said | Spoken | Failed | Done


async def run_turn(turn: Turn, engines: Engines) -> AsyncGenerator[TurnEvent, None]:
    """Run what `turn` still lacks and yield what happens; the last event is Failed or Done.

    A new turn runs whole. One that failed goes on from the stage that failed, so that nothing is paid for twice. Each
    stage's result is stored when the stage is over. Closing the generator interrupts the turn: calls to the providers
    end, and what was said by then is kept.
    """
    run = _TurnRun(turn, engines)
    work = asyncio.create_task(run.work())
    try:
        while (event := await run.events.get()) is not None:
            yield event
        await work
    finally:
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await run.interrupt()


@dataclass(slots=True)
class _TurnRun:
    """The state of one running turn. `events` ends with None."""

    turn: Turn
    engines: Engines
    events: asyncio.Queue[TurnEvent | None] = field(default_factory=asyncio.Queue)
    sentences: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    reply: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    started: float = field(default_factory=time.monotonic)

    async def work(self) -> None:
        try:
            await self._run_stages()
        except ProviderError as error:
            await self._fail(error.stage, error.code, error.message, retryable=error.retryable)
        finally:
            self.events.put_nowait(None)

    async def interrupt(self) -> None:
        """Store that the client left before the end, with what had been said by then."""
        if self.turn.status in {Turn.Status.SPOKEN, Turn.Status.FAILED}:
            return
        reply = self.turn.reply or self.reply.strip()
        await self._store(status=Turn.Status.INTERRUPTED, reply=reply, total_ms=self._elapsed_ms())

    async def _run_stages(self) -> None:
        if not self.turn.transcript:
            await self._hear()
        if not self.turn.transcript:
            await self._fail(Turn.Stage.HEAR, NOTHING_HEARD, str(NOTHING_HEARD_MESSAGE), retryable=False)
            return
        self.events.put_nowait(Heard(self.turn.transcript, self.turn.language))
        speaking = asyncio.create_task(self._speak())
        try:
            if self.turn.reply and self.turn.failed_stage == Turn.Stage.SPEAK:
                self._repeat_reply()
            else:
                await self._think()
            # A fault of the voice must not cost the rest of a reply that is paid for: it shows only here.
            await speaking
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
        await self._finish()

    async def _hear(self) -> None:
        recording = await asyncio.to_thread(self._stored_question)
        transcript = await self.engines.speech_to_text.transcribe(recording, language="")
        await self._store(
            transcript=transcript.text,
            language=transcript.language,
            heard_ms=self._elapsed_ms(),
            status=Turn.Status.HEARD,
        )

    def _stored_question(self) -> Recording:
        with self.turn.question.open("rb") as file:
            limit = settings.MAX_QUESTION_SECONDS + SLACK_SECONDS
            return audio.decode(file.read(), sample_rate=QUESTION_SAMPLE_RATE, max_seconds=limit)

    async def _think(self) -> None:
        splitter = SpeechChunker()
        deltas = self.engines.language_model.reply(await self._messages(), max_tokens=settings.MAX_REPLY_TOKENS)
        async for delta in deltas:
            if not self.reply:
                self.turn.first_word_ms = self._elapsed_ms()
            self.reply += delta
            self.events.put_nowait(Said(delta))
            self._queue(splitter.feed(delta))
        if not self.reply.strip():
            raise ProviderError("provider_answer_invalid", stage="think", retryable=True)
        self._queue(splitter.finish())
        self.sentences.put_nowait(None)
        await self._store(first_word_ms=self.turn.first_word_ms, reply=self.reply.strip(), status=Turn.Status.ANSWERED)

    async def _messages(self) -> list[Message]:
        turns = Turn.objects.filter(conversation_id=self.turn.conversation_id, created_at__lt=self.turn.created_at)
        earlier = turns.exclude(transcript="").exclude(reply="").order_by("-created_at")[: settings.MEMORY_TURNS]
        return build_messages(
            persona=self.turn.conversation.persona,
            earlier=list(reversed([turn async for turn in earlier])),
            transcript=self.turn.transcript,
        )

    def _repeat_reply(self) -> None:
        splitter = SpeechChunker()
        self.events.put_nowait(Said(self.turn.reply))
        self._queue([*splitter.feed(self.turn.reply), *splitter.finish()])
        self.sentences.put_nowait(None)

    def _queue(self, sentences: list[str]) -> None:
        for sentence in sentences:
            self.sentences.put_nowait(sentence)

    async def _speak(self) -> None:
        voice = self._voice()
        engine = self.engines.text_to_speech(voice.provider)
        index, previous = 0, ""
        while (sentence := await self.sentences.get()) is not None:
            chunks = engine.speak(
                sentence, voice_id=voice.voice_id, settings=voice.speech_settings, previous_text=previous
            )
            async for pcm in chunks:
                if self.turn.first_audio_ms is None:
                    self.turn.first_audio_ms = self._elapsed_ms()
                self.pcm += pcm
                self.events.put_nowait(Spoken(index, sentence, pcm, engine.sample_rate))
            index, previous = index + 1, f"{previous} {sentence}".strip()

    def _voice(self) -> VoiceProfile:
        voice = self.turn.voice
        if voice is None or voice.status != VoiceProfile.Status.READY:
            raise ProviderError("provider_voice_missing", stage="speak", retryable=False)
        return voice

    async def _finish(self) -> None:
        rate = self.engines.text_to_speech(self._voice().provider).sample_rate
        answer = Recording(bytes(self.pcm), rate)
        flac = await asyncio.to_thread(audio.to_flac, answer)
        self.turn.answer = ContentFile(flac, name="answer.flac")
        await self._store(
            answer=self.turn.answer,
            answer_seconds=answer.seconds,
            first_audio_ms=self.turn.first_audio_ms,
            total_ms=self._elapsed_ms(),
            status=Turn.Status.SPOKEN,
            failed_stage="",
            error_code="",
        )
        await self._note_in_conversation()
        self.events.put_nowait(Done(self.turn.reply, self.turn.timings))

    async def _note_in_conversation(self) -> None:
        """A conversation without a title is called after its first question; the voice was used now."""
        title = Truncator(self.turn.transcript).chars(TITLE_CHARACTERS)
        await Conversation.objects.filter(pk=self.turn.conversation_id, title="").aupdate(title=title)
        await VoiceProfile.objects.filter(pk=self._voice().pk).aupdate(last_used_at=timezone.now())

    async def _fail(self, stage: str, code: str, message: str, *, retryable: bool) -> None:
        await self._store(status=Turn.Status.FAILED, failed_stage=stage, error_code=code, total_ms=self._elapsed_ms())
        self.events.put_nowait(Failed(stage, code, message, retryable))

    async def _store(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.turn, name, value)
        await self.turn.asave(update_fields=list(values))

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)
