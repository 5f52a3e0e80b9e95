"""One turn: hear the question, think of a reply, speak it while it is still being written. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import Error as DatabaseFailure
from django.utils import timezone
from django.utils.text import Truncator

from apps.conversations import metrics
from apps.conversations.marking import answer_as_flac
from apps.conversations.models import INTERNAL_ERROR, NOTHING_HEARD, RUNNING, TURN_MESSAGES, Conversation, Turn
from apps.conversations.prompts import build_messages
from apps.conversations.sentences import SpeechChunker
from apps.conversations.speaking import SpokenPiece, made_ahead, text_within
from apps.conversations.stopping import stoppable
from apps.conversations.turn_events import Done, Failed, Heard, Said, Spoken, TurnEvent, Waiting
from apps.conversations.turn_writer import TurnWriter
from apps.conversations.unbroken import unbroken
from apps.core import leases
from apps.core.errors import STORAGE_UNAVAILABLE
from apps.core.logs import turn_id
from apps.speech.audio.decoding import decode
from apps.speech.base import PROVIDER_MESSAGES, ProviderError, Recording
from apps.speech.registry import Engines
from apps.usage import metering
from apps.usage.models import UsageRecord
from apps.voices.models import VoiceProfile
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)

QUESTION_SAMPLE_RATE = 16_000
TITLE_CHARACTERS = 60
HEAD_START_SECONDS = 0.02
WAITING_SECONDS = 10
MAX_CHARACTERS_PER_TOKEN = 12  # More than any language needs; a model that ignores its limit is cut off.
CAN_NOT_STORE = (DatabaseFailure, OSError)


async def run_turn(
    turn: Turn, engines: Engines, *, recording: Recording | None = None
) -> AsyncGenerator[TurnEvent, None]:
    """Run what `turn` still lacks and yield what happens; the last event is Failed or Done.

    A new turn, which need not be stored yet, runs whole. One that failed goes on from the stage that failed, so that
    nothing is paid for twice. Each stage's result is stored when the stage is over. Closing the generator, or
    `stop_requested` in the row, interrupts the turn: calls to the providers end, and what was said by then is kept.
    `recording` is the spoken question, where it is not to be read from the row.
    """
    run = _TurnRun(turn, engines, recording)
    count = metrics.begin(turn)
    work = asyncio.create_task(run.work())
    lease = asyncio.create_task(_end_when_lost(run, work))
    try:
        with stoppable(turn, work):
            while (event := await run.next_event()) is not None:
                yield event
    finally:
        tasks = (lease, work)
        for task in tasks:
            task.cancel()
        await unbroken(run.end(*tasks))  # Who leaves at the last event may leave in the middle of this.
        count()
    if run.is_lost:
        yield Failed(run.stage, turn.error_code, turn.error_message, turn.retryable)
    elif turn.status == Turn.Status.INTERRUPTED:
        yield Done(turn.spoken_text, turn.timings)


async def _end_when_lost(run: _TurnRun, work: asyncio.Task[None]) -> None:
    """Keep the lease. Where this process stood still for so long that it ran out, another one has ended the turn."""
    turn = run.turn
    await leases.keep(turn)
    if turn.status in RUNNING and await Turn.objects.filter(pk=turn.pk).aexists():
        run.is_lost = True
        turn.status, turn.failed_stage, turn.error_code = Turn.Status.FAILED, run.stage, leases.SERVER_STOPPED
        work.cancel()


@dataclass(slots=True)
class _TurnRun:
    """The state of one running turn. `events` ends with None."""

    turn: Turn
    engines: Engines
    recording: Recording | None
    events: asyncio.Queue[TurnEvent | None] = field(default_factory=asyncio.Queue)
    pieces: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    stage: Turn.Stage = Turn.Stage.HEAR
    reply: str = ""
    sample_rate: int = 0
    sound: list[bytes] = field(default_factory=list)
    spoken: list[SpokenPiece] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    speaking_since: float = 0.0
    used: metering.Used = field(default_factory=metering.Used)
    is_lost: bool = False
    writer: TurnWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = TurnWriter(self.turn)
        # What an earlier try began is begun anew.
        self.turn.first_audio_ms = None
        if self.turn.status != Turn.Status.ANSWERED:
            self.turn.first_word_ms = None

    async def work(self) -> None:
        turn_id.set(str(self.turn.pk))
        try:
            async with asyncio.timeout(settings.TURN_SECONDS):
                await self._run_stages()
        except ProviderError as error:
            await self._fail(error.stage, error.code, error.message, retryable=error.retryable)
        except TimeoutError:
            logger.warning("A turn took longer than it may")
            await self._fail(self.stage, "provider_timeout", str(PROVIDER_MESSAGES["provider_timeout"]), retryable=True)
        except CAN_NOT_STORE:
            logger.exception("A turn could not be stored")
            await self._fail_here(STORAGE_UNAVAILABLE)
        except Exception:
            logger.exception("A turn failed")
            await self._fail_here(INTERNAL_ERROR)
        finally:
            self.events.put_nowait(None)

    async def next_event(self) -> TurnEvent | None:
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                return await self.events.get()
        except TimeoutError:
            return Waiting()

    async def end(self, *tasks: asyncio.Task[None]) -> None:
        """Wait for the tasks of the run, which are cancelled, and leave nothing of it open."""
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.is_lost:
            await self.interrupt_unless_over()
            await self.settle()

    async def interrupt_unless_over(self) -> None:
        """Store what was said and heard by now, if the turn was left or stopped before its end."""
        if self.turn.status not in RUNNING:
            return
        heard_seconds = time.monotonic() - self.speaking_since if self.speaking_since else 0.0
        try:
            await self.writer.store(
                status=Turn.Status.INTERRUPTED,
                reply=self.turn.reply or self.reply.strip(),
                spoken_text=text_within(self.spoken, heard_seconds),
                **self._times(),
                **await self._sound(heard_seconds),
            )
        except CAN_NOT_STORE:  # The one who left can not be told.
            logger.exception("An interrupted turn could not be stored")

    async def settle(self) -> None:
        """Record what the turn used, and tell the owner's webhooks that it is over."""
        try:
            await sync_to_async(self._settle)()
        except DatabaseFailure:  # What was said is stored, and counts more.
            logger.exception("The usage of a turn was not recorded")

    def _settle(self) -> None:
        self.used.reference = self.turn.pk
        reservation = self.turn.reservation or metering.Reservation.of_nothing(self.turn.owner_id)
        metering.settle(reservation, kind=UsageRecord.Kind.TURN, used=self.used)
        data = {"turn_id": self.turn.pk, "conversation_id": self.turn.conversation_id, "status": self.turn.status}
        webhooks.notify(owner_id=self.turn.owner_id, event=WebhookEvent.TURN_DONE, data=data)
        if self.turn.status != Turn.Status.SPOKEN and self.turn.transcript:
            self._note_in_conversation()

    async def _run_stages(self) -> None:
        # A spoken question goes on its way before anything else takes the processor; it is heard for longer than that.
        pause = 0 if self.turn.transcript else HEAD_START_SECONDS
        if self.turn._state.adding:
            self.writer.create_soon(self.recording, pause=pause)
        earlier = asyncio.create_task(self._earlier_turns(pause))
        try:
            if not self.turn.transcript:
                await self._hear()
            if not self.turn.transcript:
                await self._fail(Turn.Stage.HEAR, NOTHING_HEARD, str(TURN_MESSAGES[NOTHING_HEARD]), retryable=False)
                return
            self.events.put_nowait(Heard(self.turn.transcript, self.turn.language))
            await self._think_and_speak(earlier)
            await self._finish()
        finally:
            earlier.cancel()

    async def _think_and_speak(self, earlier: asyncio.Task[list[Turn]]) -> None:
        speaking = asyncio.create_task(self._speak())
        try:
            self.stage = Turn.Stage.THINK
            if self.turn.status == Turn.Status.ANSWERED:
                self._repeat_reply()
            else:
                await self._think(await earlier)
            # What goes wrong in speaking shows only here: it must not cost the rest of a reply that is paid for.
            self.stage = Turn.Stage.SPEAK
            await speaking
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _earlier_turns(self, pause: float) -> list[Turn]:
        await asyncio.sleep(pause)
        turns = Turn.objects.filter(conversation_id=self.turn.conversation_id, created_at__lt=self.turn.created_at)
        latest = turns.exclude(transcript="").exclude(reply="").order_by("-created_at")[: settings.MEMORY_TURNS]
        return list(reversed([turn async for turn in latest]))

    async def _hear(self) -> None:
        if self.recording is None:
            self.recording = await asyncio.to_thread(self._stored_question)
        engine = self.engines.speech_to_text
        try:
            transcript = await engine.transcribe(self.recording, language=self.turn.conversation.language)
        finally:
            self.used.hear(self.recording.seconds, engine=engine.name)
        self.writer.store_soon(
            transcript=transcript.text,
            language=transcript.language,
            heard_ms=self._elapsed_ms(),
            status=Turn.Status.HEARD,
        )

    def _stored_question(self) -> Recording:
        with self.turn.question.open("rb") as file:
            data = file.read()
        return decode(data, sample_rate=QUESTION_SAMPLE_RATE, max_seconds=settings.MAX_QUESTION_SECONDS)

    async def _think(self, earlier: list[Turn]) -> None:
        messages = build_messages(
            persona=self.turn.conversation.persona,
            language=self.turn.conversation.language,
            earlier=earlier,
            transcript=self.turn.transcript,
        )
        model = self.engines.chosen_language_model(self.turn.conversation.model)
        await self.writer.until_stored()
        chunker = SpeechChunker()
        max_characters = settings.MAX_REPLY_TOKENS * MAX_CHARACTERS_PER_TOKEN
        try:
            async with aclosing(model.reply(messages, max_tokens=settings.MAX_REPLY_TOKENS)) as reply:
                async for delta in reply:
                    if not self.reply:
                        self.turn.first_word_ms = self._elapsed_ms()
                    delta = delta[: max_characters - len(self.reply)]
                    self.reply += delta
                    self._speak_later(chunker.feed(delta))
                    self.events.put_nowait(Said(delta))
                    if len(self.reply) >= max_characters:
                        break
        finally:
            self.used.read(sum(len(message.content) for message in messages), engine=model.name)
            self.used.write(len(self.reply), engine=model.name)
        if not self.reply.strip():
            raise ProviderError("provider_answer_invalid", stage="think", retryable=True)
        self.writer.store_soon(
            first_word_ms=self.turn.first_word_ms, reply=self.reply.strip(), status=Turn.Status.ANSWERED
        )
        await self.writer.until_stored()
        self._speak_later([*chunker.finish(), None])

    def _repeat_reply(self) -> None:
        """Say the stored reply again, so that who listens to a retry gets all of it."""
        self.events.put_nowait(Said(self.turn.reply))
        chunker = SpeechChunker()
        self._speak_later([*chunker.feed(self.turn.reply), *chunker.finish(), None])

    def _speak_later(self, pieces: Sequence[str | None]) -> None:
        for piece in pieces:
            self.pieces.put_nowait(piece)

    async def _speak(self) -> None:
        voice = self._voice()
        engine = self.engines.text_to_speech(voice.provider)

        def speak(piece: str, previous: str) -> AsyncGenerator[bytes, None]:
            self.used.speak(len(piece), engine=voice.provider)
            return engine.speak(piece, voice_id=voice.voice_id, settings=voice.speech_settings, previous_text=previous)

        self.sample_rate = engine.sample_rate
        pieces = self._pieces_after(await self._repeat_spoken())
        async with aclosing(made_ahead(pieces, speak, in_flight=settings.SPEECH_IN_FLIGHT)) as made:
            async for piece, chunks in made:
                spoken = self._begin_piece(piece)
                async for pcm in chunks:
                    self._note_sound(spoken, pcm)
                spoken.complete = True
        if not self.sound:
            raise ProviderError("provider_answer_invalid", stage="speak", retryable=True)

    def _voice(self) -> VoiceProfile:
        voice = self.turn.voice
        if voice is None or not voice.can_speak:
            raise ProviderError("provider_voice_missing", stage="speak", retryable=False)
        return voice

    async def _repeat_spoken(self) -> str:
        """Say again what was spoken before the voice failed, from the sound that was kept; return its text."""
        if not (self.turn.answer and self.turn.spoken_text):
            return ""
        recording = await asyncio.to_thread(self._stored_answer)
        spoken = self._begin_piece(self.turn.spoken_text)
        self._note_sound(spoken, recording.pcm)
        spoken.complete = True
        return spoken.text

    def _stored_answer(self) -> Recording:
        with self.turn.answer.open("rb") as file:
            return decode(file.read(), sample_rate=self.sample_rate, max_seconds=math.inf)

    async def _pieces_after(self, spoken_text: str) -> AsyncGenerator[str, None]:
        """Yield the pieces of the reply as they come, but for those that `spoken_text` is made of."""
        skipped = ""
        while (piece := await self.pieces.get()) is not None:
            if len(skipped) < len(spoken_text):
                skipped = f"{skipped} {piece}".strip()
            else:
                yield piece

    def _begin_piece(self, text: str) -> SpokenPiece:
        self.spoken.append(SpokenPiece(len(self.spoken), text))
        return self.spoken[-1]

    def _note_sound(self, piece: SpokenPiece, pcm: bytes) -> None:
        if not self.speaking_since:
            self.speaking_since = time.monotonic()
            self.turn.first_audio_ms = self._elapsed_ms()
        self.sound.append(pcm)
        piece.seconds += Recording(pcm, self.sample_rate).seconds
        self.events.put_nowait(Spoken(piece.index, piece.text, pcm, self.sample_rate))

    async def _finish(self) -> None:
        await self.writer.store(
            status=Turn.Status.SPOKEN,
            failed_stage="",
            error_code="",
            spoken_text="",
            **self._times(),
            **await self._sound(),
        )
        await sync_to_async(self._note_in_conversation)()
        self.events.put_nowait(Done(self.turn.reply, self.turn.timings))

    async def _sound(self, seconds: float | None = None) -> dict[str, Any]:
        """Return the row's values for the answer, or its first `seconds`, encoded off the event loop."""
        end = None if seconds is None else 2 * int(seconds * self.sample_rate)
        return await asyncio.to_thread(self._encoded_sound, end) if self.sound and end != 0 else {}

    def _encoded_sound(self, end: int | None) -> dict[str, Any]:
        answer = Recording(b"".join(self.sound)[:end], self.sample_rate)
        flac = answer_as_flac(turn=self.turn, recording=answer)
        return {"answer": ContentFile(flac, name="answer.flac"), "answer_seconds": answer.seconds}

    def _note_in_conversation(self) -> None:
        """A conversation without a title is called after its first question; a voice that was heard was used now."""
        title = Truncator(self.turn.transcript).chars(TITLE_CHARACTERS)
        conversation = Conversation.objects.filter(pk=self.turn.conversation_id)
        conversation.filter(title="").update(title=title)
        conversation.update(updated_at=timezone.now())
        if self.sound:
            VoiceProfile.objects.filter(pk=self.turn.voice_id).update(last_used_at=timezone.now())

    async def _fail(self, stage: str, code: str, message: str, *, retryable: bool) -> None:
        """Store the failure; where the voice failed, with what it had spoken, so that a retry goes on behind it."""
        kept = [piece for piece in self.spoken if piece.complete] if stage == Turn.Stage.SPEAK else []
        values: dict[str, Any] = {
            "status": Turn.Status.FAILED,
            "failed_stage": stage,
            "error_code": code,
            **self._times(),
        }
        try:
            spoken_text = " ".join(piece.text for piece in kept)
            sound = await self._sound(sum(piece.seconds for piece in kept))
            await self.writer.store(spoken_text=spoken_text, **values, **sound)
        except CAN_NOT_STORE:
            logger.exception("A failed turn could not be stored with its sound")
            await self._store_without_sound(values)
        self.events.put_nowait(Failed(stage, code, message, retryable))

    async def _fail_here(self, code: str) -> None:
        await self._fail(self.stage, code, str(TURN_MESSAGES[code]), retryable=True)

    async def _store_without_sound(self, values: dict[str, Any]) -> None:
        """Keep what needs the least room. Where not even that can be kept, the row tells how far the turn came."""
        try:
            await self.writer.store(answer="", answer_seconds=None, spoken_text="", **values)
        except CAN_NOT_STORE:
            logger.exception("A failed turn could not be stored")

    def _times(self) -> dict[str, int | None]:
        """Return the row's values for when the turn is over, and for what began and has not been stored by then."""
        return {
            "first_word_ms": self.turn.first_word_ms,
            "first_audio_ms": self.turn.first_audio_ms,
            "total_ms": self._elapsed_ms(),
        }

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)
