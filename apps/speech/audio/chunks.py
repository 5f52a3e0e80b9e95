"""Reduces WAV, RF64, W64 and AIFF files to their format and their samples.

FFmpeg allocates the size that a metadata chunk declares. And RF64 and W64 are WAV files with longer sizes, so that no
further demuxers are needed for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

MAX_CHUNKS = 100
# The codecs of WAV files (PCM, floats, A-law, µ-law) that need no more than the shortest format. Without its extension,
# FFmpeg takes any bytes for sound of another codec.
SHORTEST_FORMAT = 16
WITHOUT_EXTENSION = {1, 3, 6, 7}
UNKNOWN_SIZES = {0, 0xFFFFFFFF}  # Of samples: a recorder that streams does not know it, and RF64 has it elsewhere.


@dataclass(frozen=True, slots=True)
class Layout:
    """How a kind of file divides itself: each chunk has a name of `name_bytes`, then its size in `size_bytes`.

    The first chunk is at `start`, and all begin at multiples of `alignment`. `counts_header` tells whether the size
    contains the header of the chunk.
    """

    start: int
    order: Literal["little", "big"] = "little"
    name_bytes: int = 4
    size_bytes: int = 4
    alignment: int = 2
    counts_header: bool = False


RIFF = Layout(start=12)
W64 = Layout(start=40, name_bytes=16, size_bytes=8, alignment=8, counts_header=True)
AIFF = Layout(start=12, order="big")


def plain_wav(data: bytes) -> bytes:
    """Return a WAV or RF64 file with nothing but its format and samples."""
    return _wav(_chunks(data, RIFF, {b"fmt ", b"data", b"ds64"}, last=b"data"))


def wav_of_w64(data: bytes) -> bytes:
    """Return a W64 file as a WAV file."""
    return _wav(_chunks(data, W64, {b"fmt ", b"data"}, last=b"data"))


def plain_aiff(data: bytes) -> bytes:
    """Return an AIFF or AIFC file with nothing but its version, format and samples."""
    chunks = _chunks(data, AIFF, {b"FVER", b"COMM", b"SSND"})
    # The samples may precede the format, but FFmpeg stops at them.
    names = sorted(chunks, key=lambda name: name == b"SSND")
    body = data[8:12] + b"".join(_chunk(name, chunks[name], "big") for name in names)
    return _chunk(b"FORM", body, "big")


def _wav(chunks: dict[bytes, bytes]) -> bytes:
    layout = chunks.get(b"fmt ", b"")
    if len(layout) <= SHORTEST_FORMAT and int.from_bytes(layout[:2], "little") not in WITHOUT_EXTENSION:
        chunks.pop(b"fmt ", None)  # Then FFmpeg finds no sound.
    body = b"WAVE" + b"".join(_chunk(name, chunks[name], "little") for name in (b"fmt ", b"data") if name in chunks)
    return _chunk(b"RIFF", body, "little")


def _chunk(name: bytes, content: bytes, order: Literal["little", "big"]) -> bytes:
    return name + len(content).to_bytes(4, order) + content + bytes(len(content) % 2)


def _chunks(data: bytes, layout: Layout, names: Collection[bytes], *, last: bytes = b"") -> dict[bytes, bytes]:
    """Return the first chunk of each of `names`, up to the chunk `last`."""
    kept: dict[bytes, bytes] = {}
    for name, start, size in _places(data, layout):
        if name in {b"data", b"SSND"} and size in UNKNOWN_SIZES:
            size = _size_in_ds64(kept.get(b"ds64", b"")) or len(data)
        if name in names:
            kept.setdefault(name, data[start : start + size])
        if name == last:
            break
    return kept


def _size_in_ds64(chunk: bytes) -> int:
    """Return the bytes of samples that an RF64 file declares (EBU Tech 3306); 0 if it does not."""
    return int.from_bytes(chunk[8:16], "little")


def _places(data: bytes, layout: Layout) -> Iterator[tuple[bytes, int, int]]:
    """Yield the first four bytes of the name of each chunk, the start of its content, and the declared size of it."""
    offset, header_bytes = layout.start, layout.name_bytes + layout.size_bytes
    for _chunk_number in range(MAX_CHUNKS):
        header = data[offset : offset + header_bytes]
        if len(header) < header_bytes:
            break
        size = int.from_bytes(header[layout.name_bytes :], layout.order)
        if layout.counts_header:
            size = max(size - header_bytes, 0)
        yield header[:4], offset + header_bytes, size
        offset += header_bytes + size
        offset += -offset % layout.alignment
