"""Writes the row of a running turn while its next stage already runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.files.base import ContentFile
from django.db import Error as DatabaseFailure
from django.db import InterfaceError, OperationalError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from apps.core import recordings
from apps.core.commits import without_waiting_for_the_disk
from apps.core.errors import StorageDownError
from apps.core.storage import media
from apps.speech.audio.flac import to_flac

if TYPE_CHECKING:
    from apps.conversations.models import Turn
    from apps.conversations.pipeline.trust import Trust
    from apps.speech.base import Recording

logger = logging.getLogger(__name__)

STORAGE_ERRORS = (DatabaseFailure, OSError)


def _may_be_brief(error: BaseException) -> bool:
    """Whether another attempt is worth its time. A storage that is down was asked twice already."""
    return isinstance(error, OperationalError | InterfaceError | OSError) and not isinstance(error, StorageDownError)


_retrying = AsyncRetrying(
    retry=retry_if_exception(_may_be_brief),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.5, max=2),
    sleep=asyncio.sleep,
    reraise=True,
)


class TurnWriter:
    """Writes the row of one turn, one write after the other. The next write repeats one that failed.

    With `trust`, all writes wait until the question is certain.
    """

    def __init__(self, turn: Turn, trust: Trust | None = None) -> None:
        self._turn = turn
        self._trust = trust
        self._unsaved: set[str] = set()
        self._saving: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None

    def create_soon(self, recording: Recording | None, *, pause: float) -> None:
        """Store the new turn with its question after `pause` seconds. Runs concurrently with transcription."""
        self._saving = asyncio.create_task(self._create(recording, pause))

    async def store(self, **values: Any) -> None:
        """Set these fields of the turn and store them, after its question. Raises STORAGE_ERRORS."""
        if self._sending is not None:
            await asyncio.wait({self._sending})
        await self.store_soon(**values)

    def store_soon(self, *, is_awaited_by_listener: bool = False, **values: Any) -> asyncio.Task[None]:
        """Set these fields of the turn, and store them after the pending writes.

        What a listener waits for does not wait for the disk: the next write, which does, includes it.
        """
        for name, value in values.items():
            setattr(self._turn, name, value)
        self._unsaved.update(values)
        self._saving = asyncio.create_task(self._save(after=self._saving, waits=not is_awaited_by_listener))
        return self._saving

    async def until_stored(self) -> None:
        """Wait for the pending writes: their values are paid for, and the process may be killed in the next stage.

        If a write fails, its values are stored together with the next result.
        """
        is_certain = self._trust is None or self._trust.is_confirmed
        if self._saving is not None and is_certain:
            await asyncio.wait({self._saving})

    def forget(self) -> None:
        """Write nothing: the question was not certain."""
        if self._saving is not None:
            self._saving.cancel()

    async def _create(self, recording: Recording | None, pause: float) -> None:
        await asyncio.sleep(pause)
        if self._trust is not None:
            transcript, recording = await self._trust.question()
            self._turn.transcript, self._turn.language = transcript.text, transcript.language
        if recording is not None:
            self._turn.question_seconds = recording.seconds
            if media().folder is None:
                self._sending = asyncio.create_task(self._send(recording))
            else:
                flac = await asyncio.to_thread(to_flac, recording)
                self._turn.question = ContentFile(flac, name="question.flac")
        waits = recording is not None  # A typed question is answered at once, without transcription.
        try:
            await self._write(waits=waits)
        except OSError:  # The transcript matters more than the recording.
            logger.exception("The recording of a question could not be stored")
            self._turn.question = ""
            await self._write(waits=waits)

    async def _send(self, recording: Recording) -> None:
        """Store the recording of a question in an object store, and then its name: nothing else waits for the network.

        Until then, the row is without it.
        """
        try:
            flac = await asyncio.to_thread(to_flac, recording)
            self.store_soon(question=await recordings.kept(self._turn.question, flac))
        except OSError:  # As above.
            logger.exception("The recording of a question could not be stored")

    async def _save(self, *, after: asyncio.Task[None] | None, waits: bool) -> None:
        if after is not None:
            await asyncio.gather(after, return_exceptions=True)  # If that failed, this stores its values as well.
        await self._write(waits=waits)

    async def _write(self, *, waits: bool) -> None:
        """Store the unsaved fields, with a few retries: locks are brief, and the results are paid for."""
        names, self._unsaved = self._unsaved, set()
        try:
            await _retrying.copy()(sync_to_async(self._write_now), names, waits=waits)
        except BaseException:
            self._unsaved |= names
            raise

    def _write_now(self, names: set[str], *, waits: bool) -> None:
        with nullcontext() if waits else without_waiting_for_the_disk():
            if self._turn._state.adding:
                self._turn.save(force_insert=True)
            else:
                self._turn.save(update_fields=names)
