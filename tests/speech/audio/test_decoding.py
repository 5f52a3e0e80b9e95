"""Uploaded audio: which files are decoded, and which are refused with which reason."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import wave
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.speech.audio.flac import to_flac
from apps.speech.audio.levels import measure
from apps.speech.audio.mp3 import to_mp3
from apps.speech.base import AudioError
from tests.audio_samples import contained, flac_without_sound, mp4, packed, packets, silence, to_wav, webm
from tests.speech.audio.comparison import SECOND, SPEECH, decode, likeness, samples

PROTECTION = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}

FILES = {
    "webm as browsers stream it": webm(SPEECH),
    "webm with a duration": contained(SPEECH, "webm", "libopus"),
    "webm of pcm": contained(SPEECH, "matroska", "pcm_f32le"),
    "mp4 as safari streams it": mp4(SPEECH),
    "m4a": contained(SPEECH, "ipod", "aac", sample_rate=44_100),
    "m4a, lossless": contained(SPEECH, "ipod", "alac"),
    "ogg": contained(SPEECH, "ogg", "libopus"),
    "wav": to_wav(SPEECH),
    "wav of floats": contained(SPEECH, "wav", "pcm_f32le", sample_rate=44_100),
    "flac": to_flac(SPEECH),
    "mp3": contained(SPEECH, "mp3", "libmp3lame", sample_rate=44_100),
    "aac": contained(SPEECH, "adts", "aac", sample_rate=44_100),
}


def refusal(data: bytes, *, max_seconds: float = 60) -> AudioError:
    with pytest.raises(AudioError) as error:
        decode(data, max_seconds=max_seconds)
    return error.value


def many_channels(channels: int, *, sample_rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, 2, sample_rate, 0, "NONE", ""))
        writer.writeframes(bytes(2 * channels * sample_rate))
    return file.getvalue()


def wav_of_floats(values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bytes:
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16, 3, 1, 16_000, 64_000, 4, 32, b"data", 0
    )
    return header + values.tobytes()


def with_picture(container_format: str, *, codec: str, sound: str | None, attached: bool) -> bytes:
    """Return a file with one frame of video, and a second of silence encoded as `sound`."""
    file = io.BytesIO()
    with av.open(file, mode="w", format=container_format) as container:
        pixels = "rgb24" if attached else "yuv420p"
        video = container.add_stream(codec, rate=1, width=16, height=16, pix_fmt=pixels)
        assert isinstance(video, av.VideoStream)
        if attached:
            video.disposition = Disposition.attached_pic
        speech = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
        picture = av.VideoFrame(16, 16, pixels)
        picture.pts, picture.time_base = 0, Fraction(1)
        container.mux([*video.encode(picture), *video.encode(None)])
        if isinstance(speech, av.AudioStream):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), "<f4"), format="fltp", layout="mono")
            frame.sample_rate = 48_000
            container.mux([*speech.encode(frame), *speech.encode(None)])
    return file.getvalue()


def id3(body: bytes) -> bytes:
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + body


# What is accepted


@pytest.mark.parametrize("name", FILES)
def test_it_decodes_the_formats_of_browsers_and_recorders(name: str) -> None:
    recording = decode(FILES[name])
    assert recording.sample_rate == 16_000
    assert recording.seconds == pytest.approx(SPEECH.seconds, abs=0.08)
    assert likeness(recording, SPEECH) > 0.95
    assert measure(recording).rms_db == pytest.approx(measure(SPEECH).rms_db, abs=1)


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_a_lossless_file_of_the_same_sample_rate_comes_back_bit_for_bit(name: str) -> None:
    assert decode(FILES[name]) == SPEECH


def test_it_needs_no_duration_in_a_streamed_webm() -> None:
    with av.open(io.BytesIO(FILES["webm as browsers stream it"]), mode="r") as container:
        assert container.duration is None


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 48_000])
def test_it_resamples_to_the_requested_rate(sample_rate: int) -> None:
    recording = decode(FILES["mp3"], sample_rate=sample_rate)
    assert recording.sample_rate == sample_rate
    assert recording.seconds == pytest.approx(SPEECH.seconds, abs=0.01)


def test_it_mixes_stereo_down_to_the_mean_of_both_channels() -> None:
    left, right = np.full(16_000, 8_000, "<i2"), np.full(16_000, 2_000, "<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(np.column_stack([left, right]).tobytes())
    assert samples(decode(file.getvalue())) == pytest.approx(5_000, abs=1)


def test_a_file_may_change_its_sample_rate_and_channels_midway() -> None:
    mono = contained(SECOND, "adts", "aac", sample_rate=16_000)
    stereo = contained(SECOND, "adts", "aac", sample_rate=44_100, layout="stereo")
    assert decode(mono + stereo).seconds == pytest.approx(2, abs=0.2)


def test_it_skips_an_id3_tag() -> None:
    data = to_mp3(SPEECH)
    assert decode(id3(b"TIT2" + bytes(200)) + bytes(64) + data) == decode(data)


@pytest.mark.parametrize(("container_format", "sound"), [("mp3", "libmp3lame"), ("flac", "flac"), ("mp4", "aac")])
def test_a_cover_picture_is_not_a_video(container_format: str, sound: str) -> None:
    assert decode(with_picture(container_format, codec="png", sound=sound, attached=True)).seconds == pytest.approx(
        1, abs=0.1
    )


@pytest.mark.parametrize(
    ("container_format", "codec", "sound"),
    [
        ("mp4", "mpeg4", "aac"),
        ("mov", "libx264", "pcm_s16be"),
        ("3gp", "mpeg4", "aac"),
        ("webm", "libvpx", "libopus"),
        ("matroska", "libx264", "ac3"),
    ],
)
def test_the_sound_of_a_video_is_used(container_format: str, codec: str, sound: str) -> None:
    data = with_picture(container_format, codec=codec, sound=sound, attached=False)
    assert decode(data).seconds == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("claimed_size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_it_ignores_the_size_in_the_header_of_a_wav_file(claimed_size: int) -> None:
    data = bytearray(FILES["wav"])
    data[40:44] = claimed_size.to_bytes(4, "little")
    assert decode(bytes(data)) == SPEECH


def test_a_wav_file_may_contain_other_chunks_before_and_after_its_samples() -> None:
    chunk = b"LIST" + (5).to_bytes(4, "little") + b"INFOx\0"
    data = FILES["wav"]
    assert decode(data[:12] + chunk + data[12:] + chunk) == SPEECH


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"m4a", "m4a, lossless"}))  # Their index is at the end.
def test_a_truncated_file_is_decoded_up_to_its_end(name: str) -> None:
    data = FILES[name]
    assert 0.3 < decode(data[: len(data) * 6 // 10]).seconds < SPEECH.seconds


def test_a_damaged_stretch_is_skipped() -> None:
    data = bytearray(FILES["aac"])
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    assert decode(bytes(data)).seconds == pytest.approx(SPEECH.seconds, abs=0.3)


def test_it_works_in_any_thread() -> None:
    data = FILES["webm as browsers stream it"]
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(decode, [data] * 8))) == 1


# What is refused


def test_it_refuses_an_empty_file() -> None:
    assert refusal(b"").code == "audio_empty"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n", id="playlist"),
        pytest.param(b"ffconcat version 1.0\nfile clip.wav\n", id="ffconcat"),
        pytest.param(b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n", id="session description"),
        pytest.param(id3(bytes(20)) + b"#EXTM3U\n#EXTINF:9,\n/etc/hostname\n", id="playlist behind a tag"),
        pytest.param(id3(bytes(20)), id="tag and nothing else"),
        pytest.param(b"ID3", id="beginning of a tag"),
        pytest.param(b"<html>", id="page"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(500), id="picture"),
        pytest.param(b"RIFF\x00\x00\x00\x00AVI LIST", id="avi"),
        pytest.param(b".snd\x00\x00\x00\x18" + bytes(100), id="au"),
        pytest.param(np.random.default_rng(1).bytes(5_000), id="random bytes"),
    ],
)
def test_it_refuses_other_files_and_names_the_supported_formats(data: bytes) -> None:
    error = refusal(data)
    assert error.code == "audio_format_unknown"
    assert "MP3" in error.message


def test_a_playlist_after_the_first_bytes_of_audio_is_broken_audio() -> None:
    playlist = b"#EXTM3U\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n"
    for beginning in (
        b"\xff\xfb\x90\xc4",
        b"OggS",
        b"fLaC",
        b"\x1aE\xdf\xa3",
        b"\0\0\0\x18ftypisom",
        b"RIFF\0\0\0\0WAVE",
    ):
        assert refusal(beginning + playlist * 50).code in {"audio_unreadable", "audio_without_sound"}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(many_channels(9), "9 channels", id="nine channels"),
        pytest.param(many_channels(1, sample_rate=4_000), "4000 Hz", id="rate too low"),
        pytest.param(many_channels(1, sample_rate=384_000), "384000 Hz", id="rate too high"),
        pytest.param(contained(SECOND, "matroska", "tta"), "tta", id="codec of another kind"),
        pytest.param(webm(SECOND).replace(b"A_OPUS", b"A_OPAL"), "unknown", id="codec that does not exist"),
        pytest.param(wav_of_floats(np.full(16_000, np.nan, np.float32)), "invalid samples", id="not a number"),
        pytest.param(wav_of_floats(np.full(16_000, np.inf, np.float32)), "invalid samples", id="infinite"),
    ],
)
def test_it_refuses_unusual_audio_and_names_the_reason(data: bytes, found: str) -> None:
    error = refusal(data)
    assert error.code == "audio_unsupported"
    assert found in error.message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(contained(SECOND, "mp4", "aac", options=PROTECTION), id="encrypted"),
        pytest.param(contained(SECOND, "mp4", "aac", options=PROTECTION).replace(b"frma", b"free"), id="entry only"),
        pytest.param(contained(SECOND, "mp4", "aac").replace(b"mp4a", b"drms"), id="protected entry"),
        pytest.param(contained(SECOND, "mp4", "aac").replace(b"ftypisom", b"ftypM4P "), id="protected brand"),
    ],
)
def test_it_refuses_copy_protection(data: bytes) -> None:
    assert refusal(data).code == "audio_protected"


@pytest.mark.parametrize("name", FILES)
def test_it_refuses_more_seconds_than_allowed_and_names_the_limit(name: str) -> None:
    error = refusal(FILES[name], max_seconds=1)
    assert error.code == "audio_too_long"
    assert "1 seconds" in error.message


def test_it_accepts_the_maximum_duration() -> None:
    assert decode(FILES["wav"], max_seconds=SPEECH.seconds) == SPEECH


def test_ten_minutes_in_a_small_file_are_too_long() -> None:
    quiet = packets(webm(silence(1)))[-1]
    data = packed([quiet] * 30_000, "ogg", "libopus")
    assert len(data) < 200_000
    assert refusal(data, max_seconds=5).code == "audio_too_long"


def test_it_does_not_search_endlessly_for_a_packet_with_sound() -> None:
    speech = packets(FILES["m4a, lossless"])
    assert decode(packed([b"junk"] * 900 + speech, "matroska", "alac")).seconds > 2
    assert refusal(packed([b"junk"] * 1_100 + speech, "matroska", "alac")).code == "audio_unreadable"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(contained(SPEECH, "mp4", "aac")[:-3_000], id="no table of contents"),
        pytest.param(FILES["wav"][:30], id="cut in the header"),
        pytest.param(FILES["webm as browsers stream it"].split(b"\x1f\x43\xb6\x75")[0], id="cut behind the header"),
        pytest.param(FILES["mp3"][:60], id="no whole frame"),
        pytest.param(to_wav(silence(0.05)), id="a twentieth of a second"),
    ],
)
def test_it_refuses_a_file_with_almost_no_readable_audio(data: bytes) -> None:
    assert refusal(data).code == "audio_unreadable"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(to_wav(silence(0)), id="no samples"),
        pytest.param(with_picture("mp4", codec="png", sound=None, attached=True), id="cover picture only"),
        pytest.param(with_picture("mp4", codec="mpeg4", sound=None, attached=False), id="video without sound"),
    ],
)
def test_it_refuses_a_file_without_sound(data: bytes) -> None:
    assert refusal(data).code == "audio_without_sound"


def test_a_flac_without_samples_has_no_sound() -> None:
    assert refusal(flac_without_sound()).code == "audio_without_sound"


def test_declared_gigabytes_of_metadata_take_no_memory() -> None:
    lie = b"LIST\xff\xff\xff\x7fINFOISFT\x00\x00\x00\x40" + bytes(14)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(FILES["wav"][:36] + lie + FILES["wav"][36:]).code == "audio_unreadable"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # In kilobytes.


SECONDS = [
    webm(SECOND),
    mp4(SECOND),
    contained(SECOND, "mp4", "aac"),
    contained(SECOND, "mp4", "aac", options=PROTECTION),
    contained(SECOND, "ogg", "libopus", layout="stereo"),
    contained(SECOND, "wav", "pcm_f32le"),
    contained(SECOND, "mp3", "libmp3lame"),
    contained(SECOND, "adts", "aac"),
    to_wav(SECOND),
    to_flac(SECOND),
]


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """Draw files of every format with bytes overwritten, inserted or missing, mostly near the start."""
    data = bytearray(draw(st.sampled_from(SECONDS)))
    for _ in range(draw(st.integers(1, 12))):
        start = draw(st.integers(0, 400) | st.integers(0, len(data)))
        end = start + draw(st.integers(0, 12))
        data[start:end] = draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"]) | st.binary(max_size=8))
    return bytes(data)


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=300) | damaged_files())
def test_any_bytes_return_a_recording_or_raise_an_audio_error(data: bytes) -> None:
    with contextlib.suppress(AudioError):
        assert 0.09 < decode(data, max_seconds=5).seconds < 5.1
