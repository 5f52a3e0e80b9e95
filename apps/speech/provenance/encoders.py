"""Encoders of audio files that are sent while the audio is still arriving: the header does not depend on the length."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Literal, Protocol

import av

from apps.speech.audio.mp3 import Mp3Encoder
from apps.speech.audio.resampling import as_frames
from apps.speech.provenance.marks import Origin, id3_tag, riff_info, tags

UNKNOWN_SIZE = 0xFFFFFFFF  # FFmpeg writes this into a WAV stream. Players then read to the end.
WAV_FORMAT_PCM, WAV_CHANNELS, SAMPLE_BYTES = 1, 1, 2
OPUS_BIT_RATE = 48_000  # Clear for speech in mono; Opus's own default for it is 64 000.
AAC_BIT_RATE = 96_000  # FFmpeg's encoder needs more than others for clear speech in mono.


class AudioFormat(StrEnum):
    """The audio formats of speech, with OpenAI's names."""

    MP3 = "mp3"
    WAV = "wav"
    PCM = "pcm"
    FLAC = "flac"
    OPUS = "opus"
    AAC = "aac"


CONTENT_TYPES = {
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.WAV: "audio/wav",
    AudioFormat.PCM: "audio/pcm",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.OPUS: "audio/ogg",
    AudioFormat.AAC: "audio/aac",
}


class Encoder(Protocol):
    def encode(self, pcm: bytes) -> bytes:
        """Encode any number of whole mono s16le samples. Return the part of the file that is complete."""
        ...

    def finish(self) -> bytes:
        """Return the rest of the file. The encoder cannot be used afterwards."""
        ...


def create_encoder(audio_format: AudioFormat, sample_rate: int, origin: Origin) -> Encoder:
    """Return an encoder of `audio_format` for PCM at `sample_rate` hertz, which MP3, Opus and AAC have to support.

    The header of the file says that its speech is synthetic. Raw PCM has no header.
    """
    match audio_format:
        case AudioFormat.MP3:
            return HeaderEncoder(id3_tag(origin), Mp3Encoder(sample_rate))
        case AudioFormat.WAV:
            return HeaderEncoder(_wav_header(sample_rate, riff_info(origin)), PcmEncoder())
        case AudioFormat.PCM:
            return PcmEncoder()
        case AudioFormat.FLAC:
            return ContainerEncoder("flac", "flac", sample_rate, tags(origin), bit_rate=0)
        case AudioFormat.OPUS:
            return ContainerEncoder("ogg", "libopus", sample_rate, tags(origin), bit_rate=OPUS_BIT_RATE)
        case AudioFormat.AAC:
            # A stream of ADTS frames has no place for tags, but like one of MP3 frames it may follow an ID3 tag.
            return HeaderEncoder(
                id3_tag(origin), ContainerEncoder("adts", "aac", sample_rate, {}, bit_rate=AAC_BIT_RATE)
            )


class HeaderEncoder:
    """Puts a header before the output of another encoder."""

    def __init__(self, header: bytes, encoder: Encoder) -> None:
        self._header = header
        self._encoder = encoder

    def encode(self, pcm: bytes) -> bytes:
        return self._take_header() + self._encoder.encode(pcm)

    def finish(self) -> bytes:
        return self._take_header() + self._encoder.finish()

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header


class PcmEncoder:
    """Returns the samples unchanged."""

    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


def _wav_header(sample_rate: int, info: bytes) -> bytes:
    bytes_a_second = sample_rate * SAMPLE_BYTES * WAV_CHANNELS
    layout = (WAV_FORMAT_PCM, WAV_CHANNELS, sample_rate, bytes_a_second, SAMPLE_BYTES * WAV_CHANNELS, 8 * SAMPLE_BYTES)
    chunks = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *layout) + info + b"data" + struct.pack("<I", UNKNOWN_SIZE)
    return b"RIFF" + struct.pack("<I", UNKNOWN_SIZE) + chunks


class ContainerEncoder:
    """Encodes to a codec in its container with FFmpeg, without seeking back."""

    def __init__(
        self,
        container: str,
        codec: Literal["flac", "libopus", "aac"],
        sample_rate: int,
        metadata: Mapping[str, str],
        *,
        bit_rate: int,
    ) -> None:
        self._written = _Pipe()
        # Without these options, FFmpeg delays up to a second of audio for larger pages and writes.
        options = {"flush_packets": "1", "page_duration": "100000"} if container == "ogg" else {"flush_packets": "1"}
        self._container = av.open(self._written, mode="w", format=container, options=options)
        self._container.metadata.update(metadata)
        sample_format = "fltp" if codec == "aac" else "s16"
        self._stream = self._container.add_stream(codec, rate=sample_rate, layout="mono", format=sample_format)
        if bit_rate:
            self._stream.bit_rate = bit_rate
        self._samples = 0

    def encode(self, pcm: bytes) -> bytes:
        for frame in as_frames(pcm, self._stream.sample_rate):
            frame.pts, frame.time_base = self._samples, Fraction(1, self._stream.sample_rate)
            self._samples += frame.samples
            self._container.mux(self._stream.encode(frame))
        return self._written.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._written.take()


class _Pipe:
    """A file that can only be written."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self._buffer.write(data)

    def take(self) -> bytes:
        """Return the data written since the last call."""
        taken, self._buffer = self._buffer.getvalue(), io.BytesIO()
        return taken
