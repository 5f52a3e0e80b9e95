"""Human speech for tests, and the containers that browsers and people send it in."""

from __future__ import annotations

import io
import json
import struct
import wave
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.resampler import AudioResampler

from apps.speech.audio.flac import STREAM_INFO_END, to_flac
from apps.speech.base import Recording

if TYPE_CHECKING:
    from collections.abc import Mapping

SPEECH_DIR = Path(__file__).parent / "data" / "speech"
TRANSCRIPTS: dict[str, str] = json.loads((SPEECH_DIR / "transcripts.json").read_text())


class Pipe(io.BytesIO):
    """A file that can only be appended to, as what a recorder streams out."""

    def seekable(self) -> bool:
        return False


def clip(name: str) -> Recording:
    """Return a clip of `TRANSCRIPTS`, 16 kHz."""
    with wave.open(str(SPEECH_DIR / name)) as reader:
        return Recording(reader.readframes(reader.getnframes()), reader.getframerate())


def to_wav(recording: Recording) -> bytes:
    """Return `recording` as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(recording.sample_rate)
        writer.writeframes(recording.pcm)
    return file.getvalue()


def silence(seconds: float, *, sample_rate: int = 16_000) -> Recording:
    return Recording(bytes(2 * round(seconds * sample_rate)), sample_rate)


def contained(
    recording: Recording,
    container_format: str,
    codec: str,
    *,
    sample_rate: int = 48_000,
    layout: str = "mono",
    bit_rate: int | None = None,
    options: Mapping[str, str] | None = None,
    file: io.BytesIO | None = None,
) -> bytes:
    """Return `recording` in a container of FFmpeg's. `options` go to the muxer; a `Pipe` as `file` forbids seeking.

    Some codecs need a `bit_rate`, in bit/s.
    """
    file = file or io.BytesIO()
    with av.open(file, mode="w", format=container_format, container_options=dict(options or {})) as container:
        stream = container.add_stream(codec, rate=sample_rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        if bit_rate:
            stream.bit_rate = bit_rate
        resampler = AudioResampler(format=stream.format, layout=layout, rate=sample_rate, frame_size=sample_rate // 50)
        frame = av.AudioFrame.from_ndarray(np.frombuffer(recording.pcm, "<i2")[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = recording.sample_rate
        for piece in [*resampler.resample(frame), *filter(None, resampler.resample(None)), None]:
            container.mux(stream.encode(piece))
    return file.getvalue()


def webm(recording: Recording) -> bytes:
    """Return what Chrome and Firefox record: Opus in a WebM that was streamed out, and so has no duration."""
    return contained(recording, "webm", "libopus", options={"live": "1"}, file=Pipe())


def flac_without_sound() -> bytes:
    """Return a FLAC file that ends behind the first of its blocks, which is marked as the last."""
    head = to_flac(silence(1))[:STREAM_INFO_END]
    return head[:4] + bytes([head[4] | 0x80]) + head[5:]


def mp4(recording: Recording) -> bytes:
    """Return what Safari records: AAC in a fragmented MP4."""
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return contained(recording, "mp4", "aac", options=flags, file=Pipe())


def riff(
    tag: int,
    sound: bytes,
    *,
    channels: int = 1,
    rate: int = 16_000,
    align: int = 2,
    bits: int = 16,
    extra: bytes | None = None,
) -> bytes:
    """Return a WAV file with the codec `tag` in blocks of `align` bytes. `extra` extends its format."""
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    if extra is not None:
        layout += struct.pack("<H", len(extra)) + extra
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def caf(contents: list[bytes], *, codec: bytes, samples: int) -> bytes:
    """Return packets of `samples` samples at 48 kHz, mono, in Apple's Core Audio Format. FFmpeg cannot write Opus."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">q", len(content)) + content

    sizes = b"".join(bytes([len(content) >> 7 | 0x80, len(content) & 0x7F]) for content in contents)
    description = struct.pack(">d4sIIIII", 48_000, codec, 0, 0, samples, 1, 0)
    table = struct.pack(">qqii", len(contents), len(contents) * samples, 0, 0) + sizes
    sound = bytes(4) + b"".join(contents)
    return b"caff\0\1\0\0" + chunk(b"desc", description) + chunk(b"pakt", table) + chunk(b"data", sound)


def layer_1(*, frames: int) -> bytes:
    """Return MPEG audio of layer I with a noise, at 32 kHz and 128 kbit/s (ISO 11172-3). FFmpeg has no encoder."""
    size = 4 * 12 * 128_000 // 32_000
    noise = np.random.default_rng(1).integers(0, 31, (frames, 12))
    allocation = "0000" + "0100" + "0000" * 30  # Five bits for each sample of the second of 32 bands.
    data = b""
    for frame in noise:
        bits = allocation + "000100" + "".join(f"{sample:05b}" for sample in frame)
        data += b"\xff\xff\x48\xc0" + int(bits.ljust(8 * (size - 4), "0"), 2).to_bytes(size - 4)
    return data


def packets(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data), mode="r") as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def packed(contents: list[bytes], container_format: str, codec: str) -> bytes:
    """Return a container with packets of these contents, each of which it calls 20 ms long."""
    file = io.BytesIO()
    with av.open(file, mode="w", format=container_format) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        for position, content in enumerate(contents):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 50)
            packet.pts = packet.dts = position
            packet.duration = 1
            container.mux(packet)
    return file.getvalue()
