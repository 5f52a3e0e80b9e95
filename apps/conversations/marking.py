"""The stored answers of turns, marked as synthetic."""

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
    """Return the origin of the speech that is being made now for `turn`."""
    return Origin(turn.voice.provider if turn.voice else "", timezone.now(), str(turn.pk))


def answer_as_flac(*, turn: Turn, recording: Recording) -> bytes:
    """Return the answer of `turn` as FLAC, signed.

    If it cannot be signed, it only gets its tags: it is paid for, and somebody waits for it.
    """
    origin = origin_of(turn)
    try:
        return registry.marker().to_flac(recording, origin)
    except MarkError:
        logger.exception("An answer was stored without a signature", extra={"turn": str(turn.pk)})
        return to_flac(recording, tags=tags(origin))


def answer_as_mp3(*, turn: Turn) -> bytes:
    """Return the stored answer of `turn` as MP3: the same bytes each time, so that parts of it fit together.

    Raises FileNotFoundError and MarkError.
    """
    if _is_copied(turn):
        with turn.answer_mp3.open("rb") as file:
            return bytes(file.read())
    with turn.answer.open("rb") as file:
        flac = file.read()
    recording = decode(flac, sample_rate=STORED_SAMPLE_RATE, max_seconds=STORED_MAX_SECONDS)
    mp3 = registry.marker().to_mp3(recording, origin_in_flac(flac) or origin_of(turn))
    return mp3 if _keep_copy(turn, mp3) else answer_as_mp3(turn=turn)


def _is_copied(turn: Turn) -> bool:
    copy, answer = (PurePosixPath(str(file.name)) for file in (turn.answer_mp3, turn.answer))
    return copy.stem.startswith(answer.stem)


def _keep_copy(turn: Turn, mp3: bytes) -> bool:
    """Store the copy, unless another request was faster; refresh `turn` and return whether the copy was stored."""
    storage, former = turn.answer_mp3.storage, turn.answer_mp3.name or ""
    name = storage.save(answer_mp3_path(turn, ""), ContentFile(mp3))
    kept = Turn.objects.filter(pk=turn.pk, answer=turn.answer.name, answer_mp3=former).update(answer_mp3=name)
    superfluous = former if kept else name
    if superfluous:
        storage.delete(superfluous)
    turn.refresh_from_db(fields=["answer", "answer_mp3"])
    return bool(kept)
