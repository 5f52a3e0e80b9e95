"""Encodes PCM to MP3 while it is still arriving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from av.audio.codeccontext import AudioCodecContext

from apps.speech.audio.resampling import as_frames

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from apps.speech.base import Recording

LAME_DELAY = 1105  # Samples of silence at the start, caused by LAME's look-ahead and the decoder's filter.


def to_mp3(recording: Recording, *, bit_rate: int = 128_000) -> bytes:
    """Return `recording` as MP3 frames. Sample rates and bit rates are those of `Mp3Encoder`."""
    encoder = Mp3Encoder(recording.sample_rate, bit_rate=bit_rate)
    return encoder.encode(recording.pcm) + encoder.finish()


class Mp3Encoder:
    """Encodes PCM to MP3 of constant bit rate while it is still arriving.

    It returns bare MP3 frames that can be decoded independently, without a header that depends on the length.
    `sample_rate` is 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz; `bit_rate` is in bit/s. Up to 12 kHz, LAME uses
    64 kbit/s at most.
    """

    def __init__(self, sample_rate: int, bit_rate: int = 128_000) -> None:
        codec = AudioCodecContext.create("libmp3lame", "w")
        codec.sample_rate = sample_rate
        codec.layout = "mono"
        codec.format = "s16p"
        codec.bit_rate = bit_rate
        # LAME's quality 7 takes 40 % less time than the default, with the same fidelity for mono speech at 128 kbit/s.
        # With the bit reservoir, frames would depend on earlier frames.
        codec.options = {"compression_level": "7", "reservoir": "0"}
        codec.open()
        self._codec = codec
        # Frames that contain only the encoder's delay are dropped, so that the sound starts earlier.
        self._frames_to_drop = LAME_DELAY // codec.frame_size

    def encode(self, pcm: bytes) -> bytes:
        """Encode any number of whole s16le samples. Return the frames that are complete, if any."""
        return b"".join(self._encoded(frame) for frame in as_frames(pcm, self._codec.sample_rate))

    def finish(self) -> bytes:
        """Return the remaining frames. The encoder cannot be used afterwards."""
        return self._encoded(None)

    def _encoded(self, frame: AudioFrame | None) -> bytes:
        packets = self._codec.encode(frame)
        dropped = min(self._frames_to_drop, len(packets))
        self._frames_to_drop -= dropped
        return b"".join(bytes(packet) for packet in packets[dropped:])
