"""Encodes the answers of turns as FLAC and MP3, marked as synthetic."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

from django.core.files.base import ContentFile
from django.utils import timezone

from apps.conversations.models import Turn, answer_mp3_path
from apps.speech import registry
from apps.speech.audio.decoding import decode
from apps.speech.audio.flac import to_flac
from apps.speech.base import Recording
from apps.speech.provenance.marks import MarkError, Origin, origin_in_flac, tags

logger = logging.getLogger(__name__)

STORED_SAMPLE_RATE = 24_000
STORED_MAX_SECONDS = 3600


def origin_of(turn: Turn) -> Origin:
    """Return the origin of the speech that is being synthesized now for `turn`."""
    return Origin(turn.voice.provider if turn.voice else "", timezone.now(), str(turn.pk))


def answer_as_flac(*, turn: Turn, recording: Recording) -> bytes:
    """Return the answer of `turn` as FLAC, signed.

    If it cannot be signed, it only has its tags: it is paid for, and somebody is waiting for it.
    """
    origin = origin_of(turn)
    try:
        return registry.marker().to_flac(recording, origin)
    except MarkError:
        logger.exception("An answer was stored without a signature", extra={"turn": str(turn.pk)})
        return to_flac(recording, tags=tags(origin))


def answer_as_mp3(*, turn: Turn) -> bytes:
    """Return the stored answer of `turn` as MP3: the same bytes each time, so that ranges of it fit together.

    Raises FileNotFoundError and MarkError.
    """
    if _has_current_mp3(turn):
        with turn.answer_mp3.open("rb") as file:
            return bytes(file.read())
    with turn.answer.open("rb") as file:
        flac = file.read()
    recording = decode(flac, sample_rate=STORED_SAMPLE_RATE, max_seconds=STORED_MAX_SECONDS)
    mp3 = registry.marker().to_mp3(recording, origin_in_flac(flac) or origin_of(turn))
    return mp3 if _store_mp3(turn, mp3) else answer_as_mp3(turn=turn)


def _has_current_mp3(turn: Turn) -> bool:
    mp3, answer = (PurePosixPath(str(file.name)) for file in (turn.answer_mp3, turn.answer))
    return mp3.stem.startswith(answer.stem)


def _store_mp3(turn: Turn, mp3: bytes) -> bool:
    """Store the MP3 unless another request was faster; refresh `turn`, and return whether it was stored."""
    storage, previous = turn.answer_mp3.storage, turn.answer_mp3.name or ""
    name = storage.save(answer_mp3_path(turn, ""), ContentFile(mp3))
    unchanged = Turn.objects.filter(pk=turn.pk, answer=turn.answer.name, answer_mp3=previous)
    is_stored = bool(unchanged.update(answer_mp3=name))
    superfluous = previous if is_stored else name
    if superfluous:
        storage.delete(superfluous)
    turn.refresh_from_db(fields=["answer", "answer_mp3"])
    return is_stored
