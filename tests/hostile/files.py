"""The type of hostile files, and the valid files that most of them are derived from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apps.speech.audio.flac import to_flac
from apps.speech.audio.mp3 import to_mp3
from apps.speech.base import Recording
from tests.audio_samples import caf, clip, contained, flac_without_sound, mp4, packets, to_wav, webm

ACCEPTED = "accepted"
SILENT = "silent"  # It can be decoded, but contains no speech.
NO_FILE = "invalid"  # A form ignores a file without a usable name.
# Depending on the position of the damage, the file is accepted or refused with any audio error.
EITHER = "either"

EMPTY, UNKNOWN, UNREADABLE = "audio_empty", "audio_format_unknown", "audio_unreadable"
PROTECTED, UNSUPPORTED, WITHOUT_SOUND = "audio_protected", "audio_unsupported", "audio_without_sound"
TOO_LONG, TOO_COSTLY = "audio_too_long", "audio_too_costly"

SPEECH = Recording(clip("austen-0880.wav").pcm[:64_000], 16_000)  # Two seconds.
NO_SOUND = Recording(bytes(64_000), 16_000)


@dataclass(frozen=True, slots=True)
class HostileFile:
    """`verdicts` are the possible outcomes: error codes, or the words above."""

    name: str
    data: bytes
    verdicts: frozenset[str]
    filename: str = "recording.webm"

    def __str__(self) -> str:
        return self.name


def hostile(name: str, data: bytes, *verdicts: str, filename: str = "recording.webm") -> HostileFile:
    return HostileFile(name, data, frozenset(verdicts), filename)


# Files as browsers and recorders produce them.
HONEST = {
    "webm of chrome": webm(SPEECH),
    "ogg of firefox": contained(SPEECH, "ogg", "libopus"),
    "mp4 of safari": mp4(SPEECH),
    "wav": to_wav(SPEECH),
    "mp3": to_mp3(SPEECH),
    "m4a": contained(SPEECH, "ipod", "aac", sample_rate=44_100),
    "flac": to_flac(SPEECH),
    "aac": contained(SPEECH, "adts", "aac", sample_rate=44_100),
    "wav of floats": contained(SPEECH, "wav", "pcm_f32le", sample_rate=44_100),
    "webm with a duration": contained(SPEECH, "webm", "libopus"),
    "webm of pcm as edge records": contained(SPEECH, "matroska", "pcm_f32le"),
    "m4a without loss": contained(SPEECH, "ipod", "alac"),
    "mp3 in stereo": contained(SPEECH, "mp3", "libmp3lame", sample_rate=44_100, layout="stereo"),
    "wav of 24 bits": contained(SPEECH, "wav", "pcm_s24le"),
    "wav of a telephone": contained(SPEECH, "wav", "pcm_mulaw", sample_rate=8_000),
    "wav of a dictaphone": contained(SPEECH, "wav", "adpcm_ima_wav"),
    "rf64 of an editor": contained(SPEECH, "wav", "pcm_s24le", options={"rf64": "always"}),
    "w64": contained(SPEECH, "w64", "pcm_f32le", sample_rate=44_100),
    "aiff": contained(SPEECH, "aiff", "pcm_s16be", sample_rate=44_100),
    "caf": contained(SPEECH, "caf", "alac"),
    "caf of a messenger": caf(packets(contained(SPEECH, "ogg", "libopus")), codec=b"opus", samples=960),
    "amr": contained(SPEECH, "amr", "libopencore_amrnb", sample_rate=8_000),
    "3gp of android": contained(SPEECH, "3gp", "libopencore_amrnb", sample_rate=8_000),
    "quicktime": contained(SPEECH, "mov", "pcm_s16be", sample_rate=44_100),
    "wma": contained(SPEECH, "asf", "wmav2", sample_rate=44_100, bit_rate=96_000),
    "mpeg of layer II": contained(SPEECH, "mp2", "mp2", sample_rate=44_100),
    "flac of six channels": contained(SPEECH, "flac", "flac", layout="5.1"),
}


def honest() -> list[HostileFile]:
    return [hostile(f"honest: {name}", data, ACCEPTED) for name, data in HONEST.items()]


TRICKY_NAMES = [
    "../../../../etc/passwd",
    "..\\..\\windows\\system32\\config.webm",
    "/etc/cron.d/voice",
    "C:\\autoexec.bat",
    "file:///etc/passwd",
    "http://127.0.0.1/x.webm",
    "concat:/etc/passwd|x.webm",
    "subfile,,start,0,end,0,,:/etc/passwd",
    "x%00.webm",
    "x\u202e3pm.exe",
    "-y",
    "|id",
    "$(id).webm",
    "`id`.webm",
    "x;id.webm",
    "frame%03d.webm",
    "*.webm",
    "x.m3u8",
    "x.ffconcat",
    "x.sdp",
    ".htaccess",
    "CON",
    " ",
    "a" * 300 + ".webm",
    "<script>alert(1)</script>.webm",
    "' OR 1=1 --.webm",
    "x.webm/",
    "\u0000",
]


def tricky_names() -> list[HostileFile]:
    return [
        hostile(f"name: {ascii(name)[:40]}", HONEST["wav"], ACCEPTED, NO_FILE, filename=name) for name in TRICKY_NAMES
    ]


def quiet_files() -> list[HostileFile]:
    """Return files with silence in every format, and files that are too short."""
    steady = Recording((1_000).to_bytes(2, "little") * 32_000, 16_000)
    short = Recording(SPEECH.pcm[:1_600], 16_000)
    kinds: dict[str, Callable[[Recording], bytes]] = {
        "webm": webm,
        "mp4": mp4,
        "wav": to_wav,
        "flac": to_flac,
        "mp3": to_mp3,
        "ogg": lambda recording: contained(recording, "ogg", "libopus"),
    }
    return [
        *[hostile(f"silence: {name}", make(NO_SOUND), SILENT) for name, make in kinds.items()],
        *[hostile(f"silence with an offset: {name}", kinds[name](steady), SILENT) for name in ("wav", "flac")],
        *[hostile(f"a twentieth of a second: {name}", kinds[name](short), UNREADABLE) for name in ("wav", "flac")],
        hostile("no samples: wav", to_wav(Recording(b"", 16_000)), WITHOUT_SOUND),
        hostile("no samples: flac", flac_without_sound(), WITHOUT_SOUND),
        hostile("nothing", b"", EMPTY),
    ]
