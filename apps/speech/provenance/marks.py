"""Tags that show people and players that speech is synthetic. They fit at the start of a stream.

`signing` adds signatures, which cannot be forged, and `inspection` reads both.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tinytag import TinyTag, TinyTagException

SOFTWARE = "VoiceClone"
# Source: cv.iptc.org/newscodes/digitalsourcetype
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
NOTE = "Synthetic speech: an AI made this voice."
NOTE_KEY, DATE_KEY, SOFTWARE_KEY = "COMMENT", "DATE", "ENCODED-BY"
READ_AS = {"year": DATE_KEY, "encoded_by": SOFTWARE_KEY}
AI_KEY, SOURCE_TYPE_KEY, ENGINE_KEY, TURN_KEY = "AI_GENERATED", "DIGITALSOURCETYPE", "ENGINE", "TURN"


class MarkError(Exception):
    """Speech cannot be marked. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of speech: the engine, the time, and the turn if there is one. It contains no personal data."""

    engine: str
    made_at: datetime
    turn: str = ""

    @property
    def time(self) -> str:
        return self.made_at.isoformat(timespec="seconds")


def tags(origin: Origin) -> dict[str, str]:
    """Return the tags of every file, with the names of Vorbis comments. FFmpeg accepts these names, too."""
    values = {
        NOTE_KEY: NOTE,
        AI_KEY: "true",
        SOURCE_TYPE_KEY: SYNTHETIC,
        SOFTWARE_KEY: SOFTWARE,
        ENGINE_KEY: origin.engine,
        DATE_KEY: origin.time,
        TURN_KEY: origin.turn,
    }
    return {key: value for key, value in values.items() if value}


def id3_tag(origin: Origin) -> bytes:
    """Return the tags as an ID3v2.4 tag, which precedes the first frame of an MP3.

    Source: id3.org/id3v2.4.0-structure and id3v2.4.0-frames.
    """
    values = tags(origin)
    body = _id3_frame(b"COMM", "eng", values.pop(NOTE_KEY))
    body += _id3_frame(b"TENC", values.pop(SOFTWARE_KEY)) + _id3_frame(b"TDRC", values.pop(DATE_KEY)[:19])
    body += b"".join(_id3_frame(b"TXXX", key, value) for key, value in values.items())
    return b"ID3\x04\0\0" + _syncsafe(len(body)) + body


def _id3_frame(name: bytes, *texts: str) -> bytes:
    utf_8, text = b"\x03", "\0".join(texts)
    body = utf_8 + text.encode()
    return name + _syncsafe(len(body)) + b"\0\0" + body


def _syncsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def riff_info(origin: Origin) -> bytes:
    """Return the tags as the LIST chunk of a WAV file: some in their own fields, and all of them in the comment."""
    values = tags(origin)
    comment = "; ".join([values.pop(NOTE_KEY), *(f"{key}={value}" for key, value in values.items())])
    fields = {b"ICMT": comment, b"ICRD": values[DATE_KEY][:10], b"ISFT": SOFTWARE}
    body = b"INFO" + b"".join(_riff_chunk(name, text.encode() + b"\0") for name, text in fields.items())
    return _riff_chunk(b"LIST", body)


def _riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def origin_in_flac(data: bytes) -> Origin | None:
    """Return the origin in a FLAC file that this application marked, or None."""
    values = read_tags(data)
    try:
        return Origin(values[ENGINE_KEY], datetime.fromisoformat(values[DATE_KEY]), values.get(TURN_KEY, ""))
    except (LookupError, ValueError):
        return None


def read_tags(data: bytes) -> dict[str, str]:
    """Return the tags of a file of any format, under the names of `tags`; empty if it has none."""
    found: dict[str, str] = {}
    with suppress(TinyTagException, ValueError, LookupError, struct.error):
        read = TinyTag.get(file_obj=io.BytesIO(data), duration=False).as_dict()
        found = {
            READ_AS.get(name, name.upper()): str(values[0])
            for name, values in read.items()
            if isinstance(values, list) and values
        }
    # A WAV file has no fields for most tags, so they are in its comment.
    in_comment = (part.partition("=") for part in found.get(NOTE_KEY, "").split("; ") if "=" in part)
    return found | {key: value for key, _, value in in_comment}
