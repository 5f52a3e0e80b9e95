"""Files as recorders, telephones, messengers and editors make them: kinds, channels and sample rates."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest

from apps.speech.audio.decoding import DECODERS
from apps.speech.audio.levels import measure, spoken_frames
from apps.speech.base import AudioError, Recording
from tests.audio_samples import caf, contained, packets, riff, silence
from tests.speech.audio.comparison import SECOND, SPEECH, decode, likeness, samples

RF64 = {"rf64": "always"}
KINDS = {
    **{
        f"aiff, {codec}": contained(SPEECH, "aiff", codec, sample_rate=44_100)
        for codec in ("pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be", "adpcm_ima_qt")
    },
    **{f"caf, {codec}": contained(SPEECH, "caf", codec) for codec in ("alac", "pcm_s16le", "pcm_f32be", "pcm_mulaw")},
    "caf, opus": caf(packets(contained(SPEECH, "ogg", "libopus")), codec=b"opus", samples=960),
    **{
        f"quicktime, {codec}": contained(SPEECH, "mov", codec, sample_rate=44_100)
        for codec in ("aac", "alac", "pcm_s16be", "pcm_s24le", "pcm_f32le", "adpcm_ima_qt", "pcm_mulaw")
    },
    "3gp, aac": contained(SPEECH, "3gp", "aac", sample_rate=16_000),
    **{
        f"{kind}, {codec}": contained(SPEECH, kind, codec, sample_rate=44_100)
        for kind in ("wav", "w64")
        for codec in ("pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav")
    },
    "rf64, pcm_s24le": contained(SPEECH, "wav", "pcm_s24le", options=RF64),
    "rf64, pcm_f32le": contained(SPEECH, "wav", "pcm_f32le", options=RF64),
    **{
        f"wma, {codec}": contained(SPEECH, "asf", codec, sample_rate=44_100, bit_rate=96_000)
        for codec in ("wmav1", "wmav2")
    },
    "mkv, ac3": contained(SPEECH, "matroska", "ac3"),
    "mkv, mp3": contained(SPEECH, "matroska", "libmp3lame"),
}
AMR = {
    kind: contained(SPEECH, kind, "libopencore_amrnb", sample_rate=8_000, bit_rate=12_200)
    for kind in ("amr", "3gp", "mov", "caf")
}
LAYOUTS = ["stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1"]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_decoded(name: str) -> None:
    recording = decode(KINDS[name])
    assert recording.seconds == pytest.approx(SPEECH.seconds, abs=0.1)
    assert likeness(recording, SPEECH) > 0.95
    assert measure(recording).rms_db == pytest.approx(measure(SPEECH).rms_db, abs=1)


@pytest.mark.parametrize("kind", AMR)
def test_the_codec_of_telephones_is_decoded(kind: str) -> None:
    recording = decode(AMR[kind])
    assert recording.seconds == pytest.approx(SPEECH.seconds, abs=0.05)
    # It does not keep the phase, so the waveforms differ.
    spoken, expected = spoken_frames(recording), spoken_frames(SPEECH)
    length = min(spoken.size, expected.size)
    assert (spoken[:length] == expected[:length]).mean() > 0.9


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        pytest.param(b"#!AMR-WB\n" + (b"\x04" + b"\x5a" * 17) * 100, 2, id="amr of wide band"),
        pytest.param(riff(0x31, b"\xd5" * 6_500, rate=8_000, align=65, bits=0, extra=b"\x40\x01"), 4, id="gsm in wav"),
    ],
)
def test_codecs_without_an_encoder_are_decoded(data: bytes, seconds: float) -> None:
    assert decode(data).seconds == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16be", "alac"])
def test_quicktime_needs_no_ftyp(codec: str) -> None:
    data = contained(SPEECH, "mov", codec, sample_rate=44_100)
    size = int.from_bytes(data[:4])
    for before in (struct.pack(">I4s", size, b"free") + data[8:size], struct.pack(">I4s", size, b"skip") + bytes(12)):
        assert decode(before.ljust(size, b"\0") + data[size:]) == decode(data)


@pytest.mark.parametrize("kind", ["mov", "ipod", "3gp"])
def test_a_second_track_in_an_unknown_codec_does_not_matter(kind: str) -> None:
    data = contained(SPEECH, "mov", "aac", sample_rate=44_100)
    track = data[data.index(b"trak") - 4 :]
    track = track[: int.from_bytes(track[:4])]
    other = track.replace(b"mp4a", b"apac").replace(b"esds", b"dapa")
    moov = data.index(b"moov") - 4
    place = moov + data[moov:].index(track)
    size = struct.pack(">I", int.from_bytes(data[moov : moov + 4]) + len(other))
    assert decode(data[:moov] + size + data[moov + 4 : place] + other + data[place:]) == decode(data)


@pytest.mark.parametrize(
    ("name", "size"), [("rf64, pcm_s24le", 24), ("rf64, pcm_f32le", 24)], ids=["integers", "floats"]
)
def test_the_sizes_of_rf64_may_be_missing(name: str, size: int) -> None:
    data = KINDS[name]
    assert data.startswith(b"RF64\xff\xff\xff\xff")
    assert decode(data[:20] + bytes(size) + data[20 + size :]) == decode(data)


@pytest.mark.parametrize("name", ["rf64, pcm_s24le", "w64, pcm_s24le", "aiff, pcm_s24be"])
def test_chunks_behind_the_samples_are_no_sound(name: str) -> None:
    noise = np.random.default_rng(1).bytes(96_000)
    behind = {
        "r": b"LIST" + struct.pack("<I", len(noise)) + noise,
        "w": b"list" + bytes(12) + struct.pack("<Q", 24 + len(noise)) + noise,
        "a": b"APPL" + struct.pack(">I", len(noise)) + noise,
    }
    assert decode(KINDS[name] + behind[name[0]]) == decode(KINDS[name])


def test_a_recorder_may_leave_the_size_of_a_caf_file_open() -> None:
    data = KINDS["caf, pcm_s16le"]
    place = data.index(b"data") + 4
    opened = decode(data[:place] + b"\xff" * 8 + data[place + 8 :])
    assert opened.pcm.startswith(decode(data).pcm[:-100])


@pytest.mark.parametrize("tag", [0x02, 0x11, 0x31, 0x50, 0x161])
def test_a_codec_without_its_parameters_is_no_noise(tag: int) -> None:
    with pytest.raises(AudioError) as error:
        decode(riff(tag, SPEECH.pcm))
    assert error.value.code in {"audio_unreadable", "audio_unsupported"}


def test_the_format_of_an_aiff_file_may_follow_its_samples() -> None:
    data = KINDS["aiff, pcm_s16be"]
    samples_at = data.index(b"SSND")
    assert decode(data[:12] + data[samples_at:] + data[12:samples_at]) == decode(data)


def test_declared_gigabytes_of_text_in_an_aiff_file_are_not_allocated() -> None:
    data = KINDS["aiff, pcm_s16be"]
    assert decode(data + b"NAME\x7f\xff\xff\xff") == decode(data)


# Channels and sample rates


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kind", "codec"), [("flac", "flac"), ("wav", "pcm_s16le"), ("wav", "pcm_f32le")])
def test_several_channels_are_mixed(kind: str, codec: str, layout: str) -> None:
    recording = decode(contained(SPEECH, kind, codec, layout=layout))
    assert likeness(recording, SPEECH) > 0.97
    assert measure(recording).rms_db > measure(SPEECH).rms_db - 4


@pytest.mark.parametrize(
    ("kind", "codec", "layout"),
    [(*each, layout) for each in [("ipod", "aac"), ("ogg", "libopus")] for layout in ["5.1", "7.1"]]
    + [("matroska", "ac3", "5.1")],  # AC-3 has at most six channels.
)
def test_several_channels_of_a_lossy_codec_are_mixed(kind: str, codec: str, layout: str) -> None:
    recording = decode(contained(SPEECH, kind, codec, layout=layout))
    assert recording.seconds == pytest.approx(SPEECH.seconds, abs=0.08)
    assert likeness(recording, SPEECH) > 0.95


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("kind", ["<i2", "<f4"])
def test_channels_need_no_positions(channels: int, kind: str) -> None:
    sound = samples(SPEECH) if kind == "<i2" else samples(SPEECH) / 32_768
    pcm = np.repeat(sound[:, None], channels, axis=1).astype(kind).tobytes()
    size = np.dtype(kind).itemsize
    data = riff(1 if size == 2 else 3, pcm, channels=channels, align=size * channels, bits=8 * size)
    assert decode(data) == SPEECH


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_a_single_invalid_sample_of_one_channel_is_found(channels: int) -> None:
    sound = np.full((32_000, channels), 0.1, "<f4")
    sound[31_000, -1] = np.nan
    data = riff(3, sound.tobytes(), channels=channels, align=4 * channels, bits=32)
    with pytest.raises(AudioError, match="audio_unsupported"):
        decode(data)


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 22_050, 44_100, 88_200, 96_000, 176_400, 192_000])
def test_other_sample_rates_are_resampled(sample_rate: int) -> None:
    recording = decode(contained(SPEECH, "wav", "pcm_s24le", sample_rate=sample_rate, layout="stereo"))
    assert recording.seconds == pytest.approx(SPEECH.seconds, abs=0.01)
    assert likeness(recording, SPEECH) > 0.95


def stereo(left: Recording, right: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bytes:
    sound = np.column_stack([samples(left), right]).astype("<i2")
    return riff(1, sound.tobytes(), channels=2, align=4)


@pytest.mark.parametrize("offset", [0, 500])
def test_channels_of_opposite_phase_do_not_cancel_each_other_out(offset: int) -> None:
    recording = decode(stereo(SPEECH, offset - samples(SPEECH)))
    assert likeness(recording, SPEECH) > 0.99
    assert measure(recording).rms_db == pytest.approx(measure(SPEECH).rms_db, abs=0.5)


def test_of_opposite_channels_the_louder_one_is_taken() -> None:
    recording = decode(stereo(SPEECH, -1.1 * samples(SPEECH)))
    assert samples(recording) == pytest.approx(-1.1 * samples(SPEECH), abs=1.5)


def test_a_silent_channel_does_not_make_the_other_one_quieter() -> None:
    assert decode(stereo(SPEECH, 0 * samples(SPEECH))) == SPEECH


def test_two_speakers_on_two_channels_are_both_heard() -> None:
    other = np.roll(samples(SPEECH), 20_000)
    recording = decode(stereo(SPEECH, other))
    assert samples(recording) == pytest.approx((samples(SPEECH) + other) / 2, abs=1)


# What is refused


def test_protected_wma_is_refused() -> None:
    data = KINDS["wma, wmav2"]
    encryption = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
    with pytest.raises(AudioError, match="audio_protected"):
        decode(data[:30] + encryption + struct.pack("<Q", 24) + data[30:])


LONG_FILES = {
    "aiff": ("pcm_s16be", 16_000, None),
    "caf": ("pcm_s16le", 16_000, None),
    "w64": ("pcm_s16le", 16_000, None),
    "mov": ("aac", 16_000, None),
    "asf": ("wmav2", 44_100, 96_000),
    "amr": ("libopencore_amrnb", 8_000, 12_200),
    "mp2": ("mp2", 44_100, None),
}


@pytest.mark.parametrize("kind", LONG_FILES)
def test_each_kind_ends_at_the_limit(kind: str) -> None:
    codec, sample_rate, bit_rate = LONG_FILES[kind]
    data = contained(silence(8), kind, codec, sample_rate=sample_rate, bit_rate=bit_rate)
    with pytest.raises(AudioError, match="audio_too_long"):
        decode(data, max_seconds=5)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"FORM\0\0\0\0AIFFCOMM" + bytes(2_000), id="aiff"),
        pytest.param(b"caff\0\1\0\0desc" + bytes(2_000), id="caf"),
        pytest.param(b"RF64\xff\xff\xff\xffWAVEds64" + bytes(2_000), id="rf64"),
        pytest.param(contained(SECOND, "w64", "pcm_s16le")[:60] + bytes(2_000), id="w64"),
        pytest.param(contained(SECOND, "asf", "wmav2", bit_rate=96_000)[:40] + bytes(2_000), id="wma"),
        pytest.param(b"#!AMR\n", id="amr"),
        pytest.param(b"\0\0\0\x08wide\0\0\0\x08free" + bytes(2_000), id="quicktime"),
    ],
)
def test_a_beginning_of_a_kind_without_sound_is_refused(data: bytes) -> None:
    with pytest.raises(AudioError) as error:
        decode(data)
    assert error.value.code in {"audio_unreadable", "audio_without_sound", "audio_format_unknown"}


def test_the_bundled_ffmpeg_has_all_accepted_decoders() -> None:
    assert {av.Codec(name, "r").name for name in DECODERS} == set(DECODERS)


def test_no_accepted_decoder_is_for_pictures() -> None:
    assert {av.Codec(name, "r").type for name in DECODERS} == {"audio"}
