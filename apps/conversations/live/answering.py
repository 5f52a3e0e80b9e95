"""Which answer is being heard in a live session: begun, held while somebody speaks, resumed, cut, or stopped."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from apps.conversations import services
from apps.conversations.live import ground
from apps.conversations.live.answer import Answer
from apps.conversations.live.protocol import Event, ProtocolError, event, invalid
from apps.conversations.live.response import Response, Send
from apps.core.database import shared_thread

logger = logging.getLogger(__name__)

# A client truncates what it has just heard. Older answers are not kept.
KEPT_RESPONSES = 3
KEPT_ITEMS = 50
# A client counts what was heard in its own way. Less than this is missing from an answer that was heard to its end.
TOLERANCE_SECONDS = 0.15


@dataclass(slots=True)
class HeldAnswer:
    """An answer that was interrupted, perhaps by a mere noise; `seconds` of it were heard."""

    answer: Answer
    seconds: float


class Answering:
    """The responses of one session. `on_sound` and `on_end` are as those of `Response`."""

    def __init__(
        self,
        send: Send,
        conversation_id: str,
        *,
        on_sound: Callable[[bytes], None],
        on_end: Callable[[], None],
        on_silence: Callable[[], None],
    ) -> None:
        self.latest: Response | None = None
        # How often what was heard has been corrected, and so what is remembered.
        self.changes = 0
        self._held: HeldAnswer | None = None
        self._send = send
        self._conversation_id = conversation_id
        self._on_sound, self._on_end, self._on_silence = on_sound, on_end, on_silence
        self._responses: OrderedDict[str, Response] = OrderedDict()
        self._older_items: OrderedDict[str, Event] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._storing = asyncio.Lock()  # What was heard is corrected in the order in which it becomes known.

    @property
    def is_busy(self) -> bool:
        return self.latest is not None and not self.latest.is_over

    @property
    def is_settled(self) -> bool:
        """Whether all answers so far are stored, and none is to come."""
        latest = self.latest
        is_over = latest is None or (latest.is_over and (latest.answer is None or latest.answer.is_over))
        return is_over and self._held is None and not self._tasks

    def announce(self, *, is_spoken: bool, metadata: Any = None) -> Response:
        """Announce a response, whose answer is still to come. Those before it are not resumed any more."""
        for response in self._responses.values():
            if response.answer is not None:
                response.answer.forget_sound()
        return self._announce(is_spoken=is_spoken, metadata=metadata)

    def _announce(self, *, is_spoken: bool, metadata: Any = None) -> Response:
        response = Response(
            send=self._send,
            conversation_id=self._conversation_id,
            is_spoken=is_spoken,
            metadata=metadata,
            on_sound=self._on_sound,
            on_end=self._on_end,
        )
        self.latest = self._responses[response.item_id] = response
        while len(self._responses) > KEPT_RESPONSES:
            item_id, older = self._responses.popitem(last=False)
            self._older_items[item_id] = older.item
        while len(self._older_items) > KEPT_ITEMS:
            self._older_items.popitem(last=False)
        return response

    async def give(self, answer: Answer) -> None:
        """Give an answer whose question was asked before, after the one that is being given."""
        await self.until_free()
        self.let_go()
        self.announce(is_spoken=answer.prepared.is_spoken).begin(answer)

    def item(self, item_id: str) -> Event | None:
        response = self._responses.get(item_id)
        return self._older_items.get(item_id) if response is None else response.item

    async def until_free(self) -> None:
        """Wait until no response is being given."""
        while self.latest is not None and not self.latest.is_over:
            await self.latest.over.wait()

    def interrupt(self) -> None:
        """Stop what is being sent, because somebody speaks."""
        if not self.hold(self.latest) and self.is_busy and self.latest is not None:
            self.latest.end("cancelled", reason="turn_detected")

    def hold(self, response: Response | None) -> bool:
        """Stop sending an answer, but let it go on: it may be a noise. Return whether one was being heard."""
        if response is None or response is not self.latest or self._held is not None:
            return False
        if response.answer is None or not response.is_being_heard:
            return False
        self._held = HeldAnswer(response.answer, response.heard_seconds())
        response.end("cancelled", reason="turn_detected")
        self._on_silence()
        return True

    def resume(self) -> None:
        """Go on with the held answer where it was left, as a response of its own."""
        held, self._held = self._held, None
        if held is not None:
            response = self._announce(is_spoken=held.answer.prepared.is_spoken)
            response.begin(held.answer, start_seconds=held.seconds)

    def let_go(self) -> None:
        """Interrupt the held answer for good."""
        held, self._held = self._held, None
        if held is not None:
            self.stop(held.answer, heard_seconds=held.seconds)

    def cancel(self, reason: str) -> None:
        """End the current response, and interrupt its answer. A held one is let go."""
        self.let_go()
        response = self.latest
        if response is None or response.is_over:
            return
        heard_seconds = response.heard_seconds()
        response.end("cancelled", reason=reason)
        self._on_silence()
        if response.answer is not None:
            self.stop(response.answer, heard_seconds=heard_seconds)

    def take_back(self, response: Response) -> None:
        """End a response whose answer its caller undoes: the question goes on."""
        if self._held is not None and self._held.answer is response.answer:
            self._held = None
        response.end("cancelled", reason="turn_detected")
        self._on_silence()
        if response.is_shown:
            self._send(event("conversation.item.deleted", item_id=response.item_id))

    def truncate(self, item_id: str, seconds: float) -> None:
        """Take the client's word for how much of an item was heard. Raises ProtocolError."""
        response = self._responses.get(item_id)
        if response is None or response.answer is None:
            raise ProtocolError("item_not_found", "There is no answer with this id in this session.", param="item_id")
        if seconds > response.sent_seconds + TOLERANCE_SECONDS:
            text = f"Only {round(response.sent_seconds * 1000)} ms of this answer were sent."
            raise invalid("audio_end_ms", text)
        heard = response.start_seconds + seconds
        if self._held is not None and self._held.answer is response.answer:
            self._held.seconds = heard
        elif response.is_over:
            self._start(self._store_heard(response.answer, heard))
        else:
            response.end("cancelled", reason="client_cancelled")
            self.stop(response.answer, heard_seconds=heard)
        ms = round(seconds * 1000)
        self._send(event("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=ms))

    def stop(self, answer: Answer, *, heard_seconds: float = 0.0) -> None:
        """Interrupt an answer, in the background. Of what it said, `heard_seconds` are remembered."""
        self._start(self._stop(answer, heard_seconds))

    def undo(self, answer: Answer) -> None:
        """Interrupt an answer whose question goes on, in the background, and delete its turn."""
        self._start(self._undo(answer))

    async def until_stored(self) -> None:
        """Wait until all interrupted answers are stored: the next one has to remember them."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self, *, finish: bool = False) -> None:
        """Interrupt everything, as when a listener leaves. With `finish`, the answer that is being given goes on."""
        if not finish:
            self.cancel("client_cancelled")
        elif self.latest is not None and self.latest.answer is not None:
            self.latest.end("cancelled", reason="client_cancelled")
        self.let_go()
        await self.until_stored()

    async def finish(self) -> None:
        """Wait until all answers have ended and are stored, though nobody hears them."""
        for response in list(self._responses.values()):
            response.end("cancelled", reason="client_cancelled")
            if response.answer is not None:
                await response.answer.until_over()

    def forget(self) -> None:
        """Free all answers."""
        self.latest = self._held = None
        self._responses.clear()

    async def _stop(self, answer: Answer, seconds: float) -> None:
        async with self._storing:
            await answer.stop()
            if answer.is_certain:
                await _mark_heard(answer, seconds)

    async def _undo(self, answer: Answer) -> None:
        await answer.stop()
        if answer.is_certain:
            async with shared_thread():
                await sync_to_async(ground.delete_turn)(answer.turn)

    async def _store_heard(self, answer: Answer, seconds: float) -> None:
        async with self._storing:
            await answer.until_over()
            await _mark_heard(answer, seconds)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self.changes += 1
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _mark_heard(answer: Answer, seconds: float) -> None:
    if seconds < answer.sound_seconds - TOLERANCE_SECONDS:
        async with shared_thread():
            await sync_to_async(services.mark_heard)(turn=answer.turn, text=answer.text_heard(seconds), seconds=seconds)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """What is stored in the background cannot be told to anybody, if it fails."""
    try:
        await work
    except Exception:
        logger.exception("The end of a live answer could not be stored")
