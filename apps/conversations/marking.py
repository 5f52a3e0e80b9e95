"""Encodes the answers of turns as FLAC and MP3, marked as synthetic."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import PurePosixPath

from django.core.files.base import ContentFile, File
from django.utils import timezone

from apps.conversations.models import Turn, answer_mp3_path
from apps.core import recordings
from apps.core.errors import RecordingMissingError
from apps.speech import signer
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
        return signer.marker().to_flac(recording, origin)
    except MarkError:
        logger.exception("An answer was stored without a signature", extra={"turn": str(turn.pk)})
        return to_flac(recording, tags=tags(origin))


def open_answer_mp3(*, turn: Turn) -> File[bytes]:
    """Open the stored answer of `turn` as MP3, to be closed: the same bytes each time, so that ranges fit together.

    The first time it is made, in memory: the signature covers all of it. At 128 kbit/s, a reply of MAX_REPLY_TOKENS
    (400) that is spoken for two minutes is 2 MB. Raises RecordingMissingError and MarkError.
    """
    if _has_current_mp3(turn):
        with suppress(RecordingMissingError):  # It is a copy, and can be made again.
            return recordings.open_stored(turn.answer_mp3)
    recording = recordings.decode_stored(turn.answer, sample_rate=STORED_SAMPLE_RATE, max_seconds=STORED_MAX_SECONDS)
    origin = origin_in_flac(recordings.read(turn.answer)) or origin_of(turn)
    mp3 = signer.marker().to_mp3(recording, origin)
    return ContentFile(mp3) if _store_mp3(turn, mp3) else open_answer_mp3(turn=turn)


def _has_current_mp3(turn: Turn) -> bool:
    mp3, answer = (PurePosixPath(str(file.name)) for file in (turn.answer_mp3, turn.answer))
    return mp3.stem.startswith(answer.stem)


def _store_mp3(turn: Turn, mp3: bytes) -> bool:
    """Store the MP3 unless another request was faster; refresh `turn`, and return whether it was stored."""
    storage, previous = turn.answer_mp3.storage, turn.answer_mp3.name or ""
    name = storage.save(answer_mp3_path(turn, ""), ContentFile(mp3))
    unchanged = Turn.objects.filter(pk=turn.pk, answer=turn.answer.name, answer_mp3=previous)
    is_stored = bool(unchanged.update(answer_mp3=name))
    kept, superfluous = (name, previous) if is_stored else (previous, name)
    if superfluous not in ("", kept):  # A copy that was missing is made again under its name.
        storage.delete(superfluous)
    turn.refresh_from_db(fields=["answer", "answer_mp3"])
    return is_stored
