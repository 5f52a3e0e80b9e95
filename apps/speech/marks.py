"""Tags by which anyone and any player sees that speech is synthetic. They can stand where a stream begins.

Bytes go in and out; nothing here knows of settings. `apps.speech.signing` adds what nobody can forge, and
`apps.speech.inspection` reads both.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime

from mutagen import MutagenError
from mutagen.flac import FLAC
from mutagen.id3 import COMM, ID3, TDEN, TENC, TXXX

SOFTWARE = "VoiceClone"
# Source: cv.iptc.org/newscodes/digitalsourcetype
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
NOTE = "Synthetic speech: an AI made this voice."
NOTE_KEY, DATE_KEY, SOFTWARE_KEY = "COMMENT", "DATE", "ENCODED-BY"
AI_KEY, SOURCE_TYPE_KEY, ENGINE_KEY, TURN_KEY = "AI_GENERATED", "DIGITALSOURCETYPE", "ENGINE", "TURN"


class MarkError(Exception):
    """Speech that can not be marked. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where speech comes from: the engine that spoke, when, and the turn it belongs to, if any. No name of anybody."""

    engine: str
    made_at: datetime
    turn: str = ""

    @property
    def time(self) -> str:
        return self.made_at.isoformat(timespec="seconds")


def tags(origin: Origin) -> dict[str, str]:
    """Return what every file says of itself, as Vorbis comments have it; FFmpeg takes them like this too."""
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
    """Return the tags as an ID3v2.4 tag, which stands before the first frame of an MP3."""
    tag, values = ID3(), tags(origin)
    tag.add(COMM(encoding=3, lang="eng", desc="", text=values.pop(NOTE_KEY)))
    tag.add(TENC(encoding=3, text=values.pop(SOFTWARE_KEY)))
    tag.add(TDEN(encoding=3, text=values.pop(DATE_KEY)[:19]))
    for key, value in values.items():
        tag.add(TXXX(encoding=3, desc=key, text=value))
    file = io.BytesIO()
    tag.save(file, padding=lambda _info: 0)
    return file.getvalue()


def riff_info(origin: Origin) -> bytes:
    """Return the tags as the LIST chunk of a WAV file: those that it has a field for, and all in its comment."""
    values = tags(origin)
    comment = "; ".join([values.pop(NOTE_KEY), *(f"{key}={value}" for key, value in values.items())])
    fields = {b"ICMT": comment, b"ICRD": values[DATE_KEY][:10], b"ISFT": SOFTWARE}
    body = b"INFO" + b"".join(_riff_chunk(name, text.encode() + b"\0") for name, text in fields.items())
    return _riff_chunk(b"LIST", body)


def _riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def origin_in_flac(data: bytes) -> Origin | None:
    """Return what a FLAC file that was marked here says; None where it says nothing."""
    try:
        comments = FLAC(io.BytesIO(data)).tags or {}
        engine, time, turn = (comments.get(key, [""])[0] for key in (ENGINE_KEY, DATE_KEY, TURN_KEY))
        return Origin(engine, datetime.fromisoformat(time), turn)
    except (MutagenError, ValueError):
        return None
