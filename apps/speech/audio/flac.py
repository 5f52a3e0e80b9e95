"""FLAC files, which recordings are stored as."""

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

# RFC 9639: the first block of a FLAC file has one length always. Behind it libsndfile writes comments, as the last.
STREAM_INFO_END = 4 + 4 + 34
LAST_BLOCK, VORBIS_COMMENT = 0x80, 4


def to_flac(recording: Recording, *, tags: Mapping[str, str] | None = None) -> bytes:
    """Return `recording`, at least one sample, as a FLAC file with `tags` as its Vorbis comments.

    It is lossless, and about half the size of a WAV. libsndfile makes the whole file in one call, while other threads
    run. PyAV comes back to Python five times for each of FFmpeg's frames, and has to wait for a busy event loop there.
    """
    with _file_in_memory() as file:
        kind = {"format": "FLAC", "subtype": "PCM_16", "channels": 1}
        with SoundFile(file.fileno(), "w", recording.sample_rate, **kind, closefd=False) as flac:
            flac.buffer_write(recording.pcm, "int16")
        file.seek(0)
        return _with_tags(file.read(), tags or {})


def _file_in_memory() -> BinaryIO:
    """Return a file with a descriptor: one that is a Python object would have libsndfile come back for each block."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("flac"), "w+b", buffering=0)
    return TemporaryFile(buffering=0)


def _with_tags(flac: bytes, tags: Mapping[str, str]) -> bytes:
    """Put `tags` in place of the comments that libsndfile wrote, of which it knows only a few names."""
    kind = flac[STREAM_INFO_END]
    comments_end = STREAM_INFO_END + 4 + int.from_bytes(flac[STREAM_INFO_END + 1 : STREAM_INFO_END + 4], "big")
    if kind != LAST_BLOCK | VORBIS_COMMENT:
        raise ValueError("libsndfile begins its FLAC files in another way")
    comments = [f"{name}={value}".encode() for name, value in tags.items()]
    block = _vendor(flac[STREAM_INFO_END + 4 : comments_end]) + struct.pack("<I", len(comments))
    block += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    return flac[:STREAM_INFO_END] + bytes([kind]) + len(block).to_bytes(3, "big") + block + flac[comments_end:]


def _vendor(block: bytes) -> bytes:
    """Return how a block of Vorbis comments begins: who wrote the file, with its length."""
    (length,) = struct.unpack_from("<I", block)
    return block[: 4 + length]
