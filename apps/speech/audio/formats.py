"""Tells the format of a sound file, and where its sound begins. Decoding and `/verify` both ask here.

Only the content counts. Real files begin with several tags, tags of a wrong size, zeros, line breaks, or half a frame.
It reads a bounded part of the file, and imports no FFmpeg.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The accepted containers and their first bytes. Everything else is refused, or is a chain of MPEG or ADTS frames.
CONTAINERS = {
    "matroska": re.compile(rb"\x1aE\xdf\xa3"),  # Also WebM.
    "mov": re.compile(rb"....ftyp", re.DOTALL),  # MP4, M4A, 3GP and QuickTime.
    "quicktime": re.compile(rb"[\0-\x07]...(?:moov|mdat|free|skip|wide|pnot)", re.DOTALL),  # Without `ftyp`.
    "ogg": re.compile(rb"OggS"),
    "wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "rf64": re.compile(rb"(?:RF64|BW64)....WAVE", re.DOTALL),
    "w64": re.compile(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0.{8}wave\xf3\xac\xd3\x11", re.DOTALL),
    "aiff": re.compile(rb"FORM....AIF[FC]", re.DOTALL),
    "caf": re.compile(rb"caff\0\x01"),
    "flac": re.compile(rb"fLaC"),
    "amr": re.compile(rb"#!AMR(?:-WB)?\n[\x04\x0c\x14\x1c\x24\x2c\x34\x3c\x44\x4c\x74\x7c]"),  # And an intact frame.
    "asf": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c"),  # WMA.
}
# The first two bytes of frames, which suffice at the start of the sound. Other layers of MPEG need a chain of frames.
FRAMES = {
    "mp3": re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"),  # Layer III.
    "aac": re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"),  # ADTS.
}
# These are recognised in the midst of other bytes, too.
UNMISTAKABLE = {"ogg": re.compile(rb"OggS\0\x02"), "flac": re.compile(rb"fLaC[\0\x80]\0\0\x22")}
# Files that are not damaged sound, even if there is sound within them: documents, pictures, pages and MPEG videos.
OTHER_FILES = re.compile(
    rb"%PDF|PK\x03\x04|\x7fELF|\x89PNG|GIF8|\xff\xd8\xff|RIFF|FORM|<[!?a-zA-Z]{2}|#EXTM3U|FLV\x01|\x01[\xb3\xba]"
)

MAX_TAGS = 32
SEARCHED_BYTES = 65_536
CHAINED_FRAMES = 3
FILLER = re.compile(rb"[\0\r\n\t ]*")

# Rates of MPEG audio (ISO 11172-3 and 13818-3), by version (0 is 2.5, 2 is 2, 3 is 1).
MPEG_SAMPLE_RATES = {
    0: (11_025, 12_000, 8_000),
    2: (22_050, 24_000, 16_000),
    3: (44_100, 48_000, 32_000),
}
# In kbit/s, by the index of the header. The keys are whether it is version 1, and the layer.
MPEG_BIT_RATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
ADTS_SAMPLE_RATES = 13  # The indices from 13 are reserved.


@dataclass(frozen=True, slots=True)
class Located:
    """Sound in a file: `format` is a key of CONTAINERS or FRAMES, `start` the position of its first byte."""

    format: str
    start: int


def locate(data: bytes) -> Located | None:
    """Return the format of the file `data` and where its sound begins; None if it is no accepted sound file."""
    tag, start = _skip_tags(data)
    found = _exactly_at(data, start)
    if found:
        return found
    start = _after_filler(data, start)
    if not OTHER_FILES.match(data, start):
        # The size of the last tag may be wrong, so its content is searched, too.
        found = _search(data, start) or _search(data, tag)
    return found or _frame_at(data, start)


def start_of_sound(head: bytes) -> int:
    """Return the number of bytes that precede the sound of a file that begins with `head`."""
    found = locate(head)
    return found.start if found else 0


def _skip_tags(data: bytes) -> tuple[int, int]:
    """Return the start and the end of the last tag at the beginning of `data`."""
    tag = start = 0
    for _tag in range(MAX_TAGS):
        place = _after_filler(data, start)
        ends = _tag_ends(data, place)
        if not ends:
            break
        tag, start = place, next((end for end in ends if _is_plausible(data, end)), ends[0])
    return tag, start


def _tag_ends(data: bytes, start: int) -> list[int]:
    """Return where the tag at `start` may end, the most likely first; an empty list if there is no tag.

    Sources: id3.org/id3v2.4.0-structure, 3.1 and 3.4; id3.org/ID3v1; wiki.hydrogenaud.io, APE Tags Header.
    """
    head = data[start : start + 32]
    sizes: list[int] = []
    if head.startswith(b"ID3") and len(head) >= 10:
        footer = 10 if head[5] & 0x10 else 0
        synchsafe = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        # Some programs write all eight bits of a byte, instead of seven.
        sizes = [10 + size + footer for size in (synchsafe, int.from_bytes(head[6:10]))]
    elif head.startswith(b"APETAGEX") and len(head) == 32:
        sizes = [32 + int.from_bytes(head[12:16], "little"), 32]
    elif head.startswith(b"TAG") and len(data) - start >= 128:  # ID3v1 belongs to the end of a file.
        sizes = [128]
    return [start + size for size in sizes if start + size <= len(data)] or ([start + 10] if sizes else [])


def _is_plausible(data: bytes, end: int) -> bool:
    """Tell whether something known begins at `end`, so that a tag ends there."""
    return bool(_exactly_at(data, end) or _tag_ends(data, _after_filler(data, end)))


def _exactly_at(data: bytes, start: int) -> Located | None:
    """Return the sound that begins at `start` or after filler."""
    end = _after_filler(data, start)
    # A container may begin with zeros: the size of the first box of an MP4.
    for place in (start, *range(max(start, end - 3), end + 1)):
        for name, signature in CONTAINERS.items():
            if signature.match(data, place):
                return Located(name, place)
    return _chain_at(data, end)


def _search(data: bytes, start: int) -> Located | None:
    """Return the first unmistakable beginning of sound within SEARCHED_BYTES from `start`."""
    end = min(start + SEARCHED_BYTES, len(data))
    for name, signature in UNMISTAKABLE.items():
        match = signature.search(data, start, end)
        if match:
            return Located(name, match.start())
    place = data.find(b"\xff", start, end)
    while place >= 0:
        chain = _chain_at(data, place)
        if chain:
            return chain
        place = data.find(b"\xff", place + 1, end)
    return None


def _frame_at(data: bytes, start: int) -> Located | None:
    """Return the sound if the first two bytes are those of a frame."""
    return next((Located(name, start) for name, signature in FRAMES.items() if signature.match(data, start)), None)


def _chain_at(data: bytes, start: int) -> Located | None:
    """Return the sound if frames of one kind follow each other from `start`, up to the end of a short file."""
    kinds, place = set(), start
    for number in range(CHAINED_FRAMES):
        header = data[place : place + 6]
        size = _mpeg_frame_size(header) or _adts_frame_size(header)
        if not size:
            return None
        kinds.add(_kind_of_frame(header))
        place += size
        if number and place == len(data):
            break
    return Located("mp3" if data[start + 1] & 0x06 else "aac", start) if len(kinds) == 1 else None


def _kind_of_frame(header: bytes) -> tuple[int, int]:
    """Return what all frames of a recording have in common: version, layer and sample rate."""
    return header[1] & 0xFE, header[2] & (0x0C if header[1] & 0x06 else 0xFC)


def _mpeg_frame_size(header: bytes) -> int:
    """Return the bytes of an MPEG audio frame; 0 if `header` is not its header, or leaves the size open."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    if version == 1 or layer == 4:
        return 0
    bit_rate_index, sample_rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if bit_rate_index in {0, 15} or sample_rate_index == 3:
        return 0
    bits = 1_000 * MPEG_BIT_RATES[version == 3, layer][bit_rate_index]
    sample_rate = MPEG_SAMPLE_RATES[version][sample_rate_index]
    if layer == 1:
        return 4 * (12 * bits // sample_rate + padding)
    return (72 if layer == 3 and version != 3 else 144) * bits // sample_rate + padding


def _adts_frame_size(header: bytes) -> int:
    """Return the bytes of an ADTS frame; 0 if `header` is not its header (ISO 13818-7)."""
    if len(header) < 6 or not FRAMES["aac"].match(header) or header[2] >> 2 & 15 >= ADTS_SAMPLE_RATES:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > 7 else 0


def _after_filler(data: bytes, start: int) -> int:
    match = FILLER.match(data, start)
    return match.end() if match else start
