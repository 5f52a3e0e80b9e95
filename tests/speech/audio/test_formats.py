"""What precedes the sound in real files, and where the sound begins nevertheless."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.speech.audio.flac import to_flac
from apps.speech.audio.formats import MAX_TAGS, SEARCHED_BYTES, Located, locate
from apps.speech.audio.mp3 import to_mp3
from tests.audio_samples import contained, layer_1, to_wav
from tests.speech.audio.comparison import SECOND, SPEECH, decode, likeness

DICE = np.random.default_rng(20_26)
MP3, FLAC, WAV = to_mp3(SPEECH), to_flac(SPEECH), to_wav(SPEECH)
AAC = contained(SPEECH, "adts", "aac", sample_rate=44_100)
LAYER_2 = contained(SPEECH, "mp2", "mp2", sample_rate=44_100)
OGG = contained(SPEECH, "ogg", "libopus")
M4A = contained(SPEECH, "ipod", "aac", sample_rate=44_100)
FILES = {"mp3": MP3, "aac": AAC, "flac": FLAC, "ogg": OGG, "wav": WAV, "mov": M4A}


def synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(body: bytes, *, size: bytes = b"") -> bytes:
    return b"ID3\x03\0\0" + (size or synchsafe(len(body))) + body


def ape(text: bytes) -> bytes:
    """Return an APEv2 tag with header and footer, as in front of a file."""
    item = struct.pack("<II", len(text), 0) + b"Title\0" + text
    values = (2_000, len(item) + 32, 1)
    header, footer = (b"APETAGEX" + struct.pack("<4I", *values, flags) + bytes(8) for flags in (0xA0 << 24, 1 << 31))
    return header + item + footer


PICTURE = b"APIC" + struct.pack(">I", 2_000_000) + DICE.bytes(2_000_002)
TEXT = b"TIT2" + struct.pack(">I", 600) + b"\0\0" + b"Memo" * 150
TAGS = {
    "a picture of 2 MB": id3(PICTURE),
    "two tags": id3(TEXT) + id3(PICTURE),
    "as many tags as are skipped": id3(TEXT) * MAX_TAGS,
    "an APEv2 tag": ape(b"Memo"),
    "an APEv2 tag behind an ID3v2 tag": id3(TEXT) + ape(b"Memo" * 200),
    "an ID3v2 tag behind an APEv2 tag": ape(b"Memo" * 200) + id3(TEXT),
    "an ID3v1 tag in front": b"TAG" + b"Memo".ljust(125, b"\0"),
    "a size that is not synchsafe": id3(TEXT, size=struct.pack(">I", len(TEXT))),
    "a picture whose size is not synchsafe": id3(PICTURE, size=struct.pack(">I", len(PICTURE))),
    "a tag with a footer": b"ID3\4\0\x10" + synchsafe(9) + bytes(9) + b"3DI\4\0\x10" + synchsafe(9),
    "padding behind a tag": id3(TEXT) + bytes(2_000),
    "zeros": bytes(100_000),
    "a line break": b"\r\n",
    "line breaks between tags": b"\r\n" + id3(TEXT) + b"\r\n\r\n" + id3(TEXT) + b"\n",
}
JUNK = {
    "noise": DICE.bytes(300),
    "much noise": DICE.bytes(50_000),
    "noise behind a tag": id3(TEXT) + DICE.bytes(900),
    "a size that is too small": id3(TEXT, size=synchsafe(100)),
    "a size of nothing": id3(TEXT, size=synchsafe(0)),
    "a size beyond the file": id3(TEXT, size=synchsafe(2**27)),
    "a beginning of another file's frame": MP3[100:399],
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("before", TAGS)
def test_tags_and_filler_are_skipped(name: str, before: str) -> None:
    assert locate(TAGS[before] + FILES[name]) == Located(name, len(TAGS[before]))


@pytest.mark.parametrize("name", ["mp3", "aac", "flac", "ogg"])
@pytest.mark.parametrize("before", JUNK)
def test_sound_is_found_behind_junk(name: str, before: str) -> None:
    assert locate(JUNK[before] + FILES[name]) == Located(name, len(JUNK[before]))


@pytest.mark.parametrize(("name", "off"), [("mp3", 7), ("aac", 7), ("mp3", 333), ("aac", 333)])
def test_a_size_that_reaches_into_the_sound_costs_one_frame(name: str, off: int) -> None:
    data = id3(TEXT, size=synchsafe(len(TEXT) + off)) + FILES[name]
    assert decode(data).seconds == pytest.approx(SPEECH.seconds, abs=0.1)


@pytest.mark.parametrize("data", [MP3, AAC, LAYER_2], ids=["layer III", "aac", "layer II"])
@pytest.mark.parametrize("cut", [1, 50, 333, 5_000])
def test_a_file_that_begins_in_mid_frame_is_decoded_from_the_next_one_on(data: bytes, cut: int) -> None:
    recording = decode(data[cut:])
    assert recording.seconds == pytest.approx(SPEECH.seconds * (1 - cut / len(data)), abs=0.12)
    assert likeness(recording, SPEECH) > 0.8


@pytest.mark.parametrize("before", ["two tags", "an APEv2 tag", "a size that is not synchsafe", "zeros"])
def test_what_precedes_the_sound_does_not_change_it(before: str) -> None:
    for data in (MP3, AAC, FLAC):
        assert decode(TAGS[before] + data) == decode(data)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_layer_2_is_decoded_at_every_rate(sample_rate: int) -> None:
    data = contained(SPEECH, "mp2", "mp2", sample_rate=sample_rate)
    assert locate(DICE.bytes(100) + data) == Located("mp3", 100)
    assert likeness(decode(id3(TEXT) * 2 + data), SPEECH) > 0.95


def test_layer_1_is_decoded() -> None:
    data = layer_1(frames=100)
    assert locate(id3(TEXT) + data) == Located("mp3", len(id3(TEXT)))
    assert decode(id3(TEXT) + data).seconds == pytest.approx(100 * 384 / 32_000, abs=0.05)


def test_two_frames_that_are_the_whole_file_are_enough() -> None:
    frame = MP3[: locate_second(MP3)]
    assert locate(b"junk" + frame * 2) == Located("mp3", 4)
    assert locate(b"junk" + frame) is None


def locate_second(data: bytes) -> int:
    found = locate(data[1:])
    assert found
    return found.start + 1


def test_the_search_ends_after_64_kilobytes() -> None:
    junk = bytes([1]) * (SEARCHED_BYTES - 10)
    assert locate(junk + MP3) == Located("mp3", len(junk))
    assert locate(junk + bytes([1]) * 10 + MP3) is None


def test_more_tags_than_the_limit_are_not_skipped() -> None:
    assert locate(id3(bytes(3_000)) * (MAX_TAGS + 40) + MP3) is None


def test_tags_are_skipped_without_reading_them() -> None:
    assert locate(id3(bytes(24_000_000)) * 3 + WAV) == Located("wav", 3 * 24_000_010)


@pytest.mark.parametrize(
    "before",
    [
        b"%PDF-1.4\n",
        b"<html><body>",
        b"#EXTM3U\n",
        b"PK\x03\x04",
        b"RIFF\0\0\0\0AVI LIST",
        b"\x89PNG\r\n\x1a\n",
        b"\0\0\1\xba",
    ],
)
def test_sound_within_another_kind_of_file_is_not_used(before: bytes) -> None:
    assert locate(before + MP3) is None
    assert locate(id3(TEXT) + before + MP3) is None


@pytest.mark.parametrize("text", ["The wide world", "Carefree talk", "I am skip"])
def test_a_text_is_no_movie(text: str) -> None:
    assert locate(text.encode() * 100) is None


@pytest.mark.parametrize("data", [b"", b"ID3", b"TAG", b"APETAGEX", b"\0" * 99, b"\xff", b"\xff\xfet\0e\0x\0t\0"])
def test_other_files_have_no_format(data: bytes) -> None:
    assert locate(data) is None


@given(st.binary(max_size=200), st.sampled_from([*TAGS.values(), *JUNK.values(), b""]), st.booleans())
def test_the_start_is_within_the_file(noise: bytes, before: bytes, sounds: bool) -> None:
    data = noise + before[:5_000] + (to_mp3(SECOND)[:2_000] if sounds else b"")
    found = locate(data)
    assert found is None or 0 <= found.start < len(data)
