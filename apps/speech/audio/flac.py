"""FLAC files, the storage format of recordings."""

from __future__ import annotations

import os
import struct
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from soundfile import SoundFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apps.speech.base import Recording

# RFC 9639: the first metadata block has a fixed length. After it, libsndfile writes the comments as the last block.
STREAM_INFO_END = 4 + 4 + 34
LAST_BLOCK, VORBIS_COMMENT = 0x80, 4


def to_flac(recording: Recording, *, tags: Mapping[str, str] | None = None) -> bytes:
    """Return `recording` (at least one sample) as a FLAC file with `tags` as its Vorbis comments.

    It is lossless, and about half the size of a WAV file. libsndfile encodes the whole file in one call without the
    GIL. PyAV returns to Python five times per frame, and waits there for a busy event loop.
    """
    with _file_in_memory() as file:
        kind = {"format": "FLAC", "subtype": "PCM_16", "channels": 1}
        with SoundFile(file.fileno(), "w", recording.sample_rate, **kind, closefd=False) as flac:
            flac.buffer_write(recording.pcm, "int16")
        file.seek(0)
        return _with_tags(file.read(), tags or {})


def _file_in_memory() -> BinaryIO:
    """Return a file with a descriptor. With a Python file object, libsndfile would call Python for each block."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("flac"), "w+b", buffering=0)
    return TemporaryFile(buffering=0)


def _with_tags(flac: bytes, tags: Mapping[str, str]) -> bytes:
    """Replace the comments of libsndfile, which supports only a few tag names, with `tags`."""
    kind = flac[STREAM_INFO_END]
    comments_end = STREAM_INFO_END + 4 + int.from_bytes(flac[STREAM_INFO_END + 1 : STREAM_INFO_END + 4], "big")
    if kind != LAST_BLOCK | VORBIS_COMMENT:
        raise ValueError("unexpected metadata blocks in the FLAC file of libsndfile")
    comments = [f"{name}={value}".encode() for name, value in tags.items()]
    block = _vendor(flac[STREAM_INFO_END + 4 : comments_end]) + struct.pack("<I", len(comments))
    block += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    return flac[:STREAM_INFO_END] + bytes([kind]) + len(block).to_bytes(3, "big") + block + flac[comments_end:]


def _vendor(block: bytes) -> bytes:
    """Return the vendor string of a block of Vorbis comments, with its length."""
    (length,) = struct.unpack_from("<I", block)
    return block[: 4 + length]
