"""What a client of a live session is shown of the questions: their items, and their words as they are heard."""

from __future__ import annotations

from collections import OrderedDict

from apps.conversations.live.protocol import Event, event, user_item
from apps.conversations.live.question import Question
from apps.conversations.live.response import Send
from apps.speech.base import LIVE_SAMPLE_RATE, ProviderError

TRANSCRIPTION = "conversation.item.input_audio_transcription"
KEPT_ITEMS = 50


class Items:
    """The items of the latest questions."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._items: OrderedDict[str, Event] = OrderedDict()

    def get(self, item_id: str) -> Event | None:
        return self._items.get(item_id)

    def add(self, question: Question) -> None:
        item = self._items[question.item_id] = user_item(question.item_id, text=question.typed)
        while len(self._items) > KEPT_ITEMS:
            self._items.popitem(last=False)
        self._send(event("conversation.item.added", item=item))
        self._send(event("conversation.item.done", item=item))

    def delete(self, question: Question) -> None:
        self._items.pop(question.item_id, None)
        self._send(event("conversation.item.deleted", item_id=question.item_id))

    def show_partial(self, question: Question) -> None:
        """Tell the client the words so far. It can only be told more of them: what was changed comes at the end."""
        words = question.words_so_far
        if words.startswith(question.shown) and len(words) > len(question.shown):
            delta, question.shown = words[len(question.shown) :], words
            self._send(event(f"{TRANSCRIPTION}.delta", item_id=question.item_id, content_index=0, delta=delta))

    async def show_transcript(self, question: Question) -> None:
        """Tell the client the final words of a question, or why there are none. Nothing if it goes on meanwhile."""
        item_id = question.item_id
        try:
            text = (await question.transcript()).text
        except ProviderError as error:
            failure = {"type": "server_error", "code": error.code, "message": error.message}
            if question.item_id == item_id:
                self._send(event(f"{TRANSCRIPTION}.failed", item_id=item_id, content_index=0, error=failure))
            return
        if question.item_id != item_id or item_id not in self._items:
            return
        self._items[item_id] = user_item(item_id, transcript=text)
        usage = {"type": "duration", "seconds": round(len(question.pcm) / 2 / LIVE_SAMPLE_RATE, 3)}
        fields = {"content_index": 0, "transcript": text, "usage": usage}
        self._send(event(f"{TRANSCRIPTION}.completed", item_id=item_id, **fields))
