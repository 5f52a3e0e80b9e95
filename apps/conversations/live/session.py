"""A live session: does what the events of its client say.

All of it runs in one event loop; only `ground` is called in threads. See docs/decisions/0030-live-conversations.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from asgiref.sync import sync_to_async

from apps.conversations import services
from apps.conversations.live import config as configuration
from apps.conversations.live import ground
from apps.conversations.live.access import Caller
from apps.conversations.live.answer import Answer
from apps.conversations.live.answering import Answering
from apps.conversations.live.asking import Asking
from apps.conversations.live.config import SessionConfig
from apps.conversations.live.protocol import (
    Event,
    ProtocolError,
    decoded_audio,
    error_event,
    event,
    invalid,
    is_id,
    new_id,
    unsupported,
)
from apps.conversations.live.replying import Replying
from apps.conversations.live.response import Send
from apps.conversations.models import Conversation
from apps.core.api_errors import known_error
from apps.core.database import shared_thread
from apps.core.errors import UserError
from apps.speech.audio.turn_ends import TurnEnd
from apps.speech.base import LIVE_SAMPLE_RATE, LiveTranscription, ProviderError
from apps.speech.registry import Engines
from apps.speech.reply_text import storable

logger = logging.getLogger(__name__)

CLOSING_SECONDS = 10
PIECE_BYTES = 2 * LIVE_SAMPLE_RATE // 5
MAX_MILLISECONDS = 10**9  # No answer is as long, and no longer number fits into a float.


class LiveSession:
    """The conversation of one socket. `send` takes events for the client; `on_left` is called if they may not stay.

    If it `finishes`, what was asked is answered to its end after the client has left.
    """

    def __init__(
        self,
        *,
        caller: Caller,
        conversation: Conversation,
        model: str,
        engines: Engines,
        send: Send,
        on_left: Callable[[], None],
        finishes: bool = False,
    ) -> None:
        self._finishes = finishes
        self._id, self._model = new_id("sess"), model
        self._caller, self._conversation, self._engines, self._send = caller, conversation, engines, send
        self._is_new = conversation._state.adding
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering = Answering(
            send,
            str(conversation.pk),
            on_sound=lambda pcm: self._asking.listening.turns.answer_sent(pcm, sample_rate=LIVE_SAMPLE_RATE),
            on_end=lambda: self._asking.listening.turns.answer_heard(),
            on_silence=lambda: self._asking.listening.turns.answer_stopped(),
        )
        self._replying = Replying(caller, conversation, engines, self._answering, run=self._run, on_left=on_left)
        self._asking = Asking(send, self._answering, self._replying, _config_of(conversation), run=self._run)

    async def open(self, turn_end: TurnEnd | None) -> None:
        """Begin to listen, and tell the client."""
        self._asking.listen(await self._connect(), turn_end)
        self._send(event("session.created", session=self._as_json()))

    async def close(self) -> None:
        """End everything, as when the listener leaves. What was asked is stored."""
        self._replying.is_closed = not self._finishes
        self._asking.close()
        await self._answering.close(finish=self._finishes)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._until_done()
        if self._finishes:
            self._replying.is_closed = True
            await self._answering.finish()
        for task in self._tasks:
            task.cancel()
        await self._stack.aclose()
        await self._until_done()
        if self._is_new:
            async with shared_thread():
                await sync_to_async(ground.forget_empty)(self._conversation)
        # Its parts refer to each other. Their sound, megabytes, does not wait for the garbage collector.
        self._asking.forget()
        self._answering.forget()

    async def _until_done(self) -> None:
        """Wait for all work, and for what it has begun in its turn."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
            await self._answering.until_stored()

    def interrupt(self) -> None:
        """End the response that is being given."""
        self._answering.cancel("client_cancelled")

    @property
    def is_idle(self) -> bool:
        """Whether nobody is asking or being answered."""
        return not (self._answering.is_busy or self._asking.current or self._tasks)

    async def handle(self, received: Event) -> None:
        """Do what an event of the client's says, or answer it with an error."""
        kind, event_id = received.get("type"), received.get("event_id")
        handler = HANDLERS.get(kind) if isinstance(kind, str) else None
        try:
            if handler is None:
                raise ProtocolError("unknown_event", "This event is not supported here.", param="type")
            await handler(self, received)
        except ProtocolError as error:
            given_id = event_id if is_id(event_id) else ""
            self._send(error_event(error.code, error.message, param=error.param, event_id=given_id))
        except Exception as error:
            known = known_error(error)
            if known is None:
                raise
            self._send(error_event(known.code, known.message, kind="server_error"))

    async def _update(self, received: Event) -> None:
        before = self._asking.config
        config = configuration.changed(before, received.get("session"))
        if config.voice != before.voice:
            await self._change_voice(config.voice)
            config = replace(config, voice=str(self._conversation.voice_id))
        self._conversation.persona = config.instructions
        self._asking.configure(config)
        if config.language != before.language:
            self._asking.listen_with(await self._connect())
        self._send(event("session.updated", session=self._as_json()))

    async def _change_voice(self, name: str) -> None:
        param, current = "session.audio.output.voice", self._conversation.voice
        async with shared_thread():
            try:
                voice = await sync_to_async(ground.voice_named)(self._caller, name, current=current)
            except UserError as error:
                raise ProtocolError(error.code, error.message, param=param) from None
        if voice != current and self._answering.latest is not None:
            text = "The voice has spoken already, so it stays. Open another session for another voice."
            raise ProtocolError("cannot_update_voice", text, param=param)
        self._conversation.voice = voice

    async def _append(self, received: Event) -> None:
        pcm = decoded_audio(received.get("audio"), "audio")
        for start in range(0, len(pcm), PIECE_BYTES):
            if start:
                await asyncio.sleep(0)  # A long recording in one event leaves time for others.
            self._asking.hear(pcm[start : start + PIECE_BYTES])

    async def _commit(self, _received: Event) -> None:
        self._asking.commit()

    async def _clear(self, _received: Event) -> None:
        self._asking.clear()

    async def _create_item(self, received: Event) -> None:
        item = received.get("item")
        if not isinstance(item, dict) or item.get("type") != "message" or item.get("role") != "user":
            raise unsupported("item", "Only messages of the user can be added.")
        item_id = item.get("id") or ""
        if item_id and (not is_id(item_id) or self._item(item_id) is not None):
            raise invalid("item.id", "Send another id, of up to 64 characters, or none.")
        self._asking.type(_typed_text(item.get("content")), item_id)

    async def _delete_item(self, received: Event) -> None:
        self._asking.delete(str(received.get("item_id")))

    async def _retrieve_item(self, received: Event) -> None:
        item = self._item(str(received.get("item_id")))
        if item is None:
            raise ProtocolError("item_not_found", "There is no such item in this session.", param="item_id")
        self._send(event("conversation.item.retrieved", item=item))

    def _item(self, item_id: str) -> Event | None:
        return self._asking.items.get(item_id) or self._answering.item(item_id)

    async def _truncate_item(self, received: Event) -> None:
        ms = received.get("audio_end_ms")
        if isinstance(ms, bool) or not isinstance(ms, int) or not 0 <= ms <= MAX_MILLISECONDS:
            raise invalid("audio_end_ms", "Send the milliseconds that were heard, a whole number.")
        self._answering.truncate(str(received.get("item_id")), ms / 1000)

    async def _create_response(self, received: Event) -> None:
        wanted = received.get("response") or {}
        if not isinstance(wanted, dict):
            raise invalid("response", "This has to be an object.")
        changes = configuration.response_changes(self._asking.config, wanted)
        metadata = configuration.metadata_of(wanted)
        if self._answering.is_busy:
            text = "A response is being given. Cancel it, or wait until it is done."
            raise ProtocolError("conversation_already_has_active_response", text)
        if "turn_id" in wanted:
            await self._retry(str(wanted["turn_id"]))
            return
        if not self._asking.pending:
            text = "Ask something first: send sound and commit it, or create an item."
            raise ProtocolError("nothing_to_answer", text)
        self._asking.respond(replace(self._asking.config, **changes), metadata=metadata)

    async def _retry(self, turn_id: str) -> None:
        """Give a turn that failed or was interrupted another attempt."""
        async with shared_thread():
            try:
                prepared = await sync_to_async(ground.prepare_retry)(self._caller, self._conversation, turn_id)
            except (UserError, ProviderError) as error:
                raise ProtocolError(error.code, error.message, param="response.turn_id") from None
        self._run(self._answering.give(Answer(prepared, self._asking.config, self._engines)))

    async def _cancel_response(self, received: Event) -> None:
        wanted, latest = received.get("response_id"), self._answering.latest
        if latest is None or latest.is_over or wanted not in (None, latest.id):
            self._answering.let_go()  # It was ended because somebody speaks, and is not to go on after that.
            raise ProtocolError("response_cancel_not_active", "There is no such response that is being given.")
        self._answering.cancel("client_cancelled")

    async def _refuse_webrtc(self, _received: Event) -> None:
        raise unsupported("type", "This event is for WebRTC. Send response.cancel and conversation.item.truncate.")

    async def _connect(self) -> LiveTranscription:
        """Connect to speech to text, in the language in force."""
        await self._stack.aclose()
        engine = self._engines.live_speech_to_text
        language = self._asking.config.language or self._conversation.language
        listening = engine.listen(language=language, on_partial=self._asking.on_partial)
        transcription: LiveTranscription = await self._stack.enter_async_context(listening)
        return transcription

    def _as_json(self) -> Event:
        hearing = self._engines.live_speech_to_text.name
        return self._asking.config.as_json(session_id=self._id, model=self._model, hearing=hearing)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Work of a live session failed", exc_info=error)


def _config_of(conversation: Conversation) -> SessionConfig:
    voice = conversation.voice
    return SessionConfig(
        instructions=conversation.persona,
        voice=str(conversation.voice_id),
        speed=(voice and voice.speech_settings.speed) or 1.0,
    )


def _typed_text(content: Any) -> str:
    """Return the text of an item's content. Raises ProtocolError."""
    if not isinstance(content, list) or not content:
        raise invalid("item.content", "Send a list of parts.")
    if any(not isinstance(part, dict) or part.get("type") != "input_text" for part in content):
        raise unsupported("item.content", "Only input_text can be added. Send sound by input_audio_buffer.append.")
    text = storable("\n".join(str(part.get("text") or "") for part in content)).strip()
    if not text or len(text) > services.MAX_TEXT_CHARACTERS:
        raise invalid("item.content", f"A text has from 1 to {services.MAX_TEXT_CHARACTERS} characters.")
    return text


HANDLERS: dict[str, Callable[[LiveSession, Event], Coroutine[Any, Any, None]]] = {
    "session.update": LiveSession._update,
    "input_audio_buffer.append": LiveSession._append,
    "input_audio_buffer.commit": LiveSession._commit,
    "input_audio_buffer.clear": LiveSession._clear,
    "conversation.item.create": LiveSession._create_item,
    "conversation.item.delete": LiveSession._delete_item,
    "conversation.item.retrieve": LiveSession._retrieve_item,
    "conversation.item.truncate": LiveSession._truncate_item,
    "response.create": LiveSession._create_response,
    "response.cancel": LiveSession._cancel_response,
    "output_audio_buffer.clear": LiveSession._refuse_webrtc,
}
