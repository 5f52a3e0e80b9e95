"""Reads the sound in an answer: raw PCM or a WAV file, at any sample rate, while it arrives."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    import httpx

SAMPLE_RATE = 24_000
"""The rate of PCM that says nothing of its own, and of what this module returns, in hertz."""

_RAW = ("audio/pcm", "audio/l16", "application/octet-stream")
_WAV = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_RATES = range(8_000, 192_001)
_LONGEST_HEAD = 65_536
_PCM, _EXTENSIBLE = 1, 0xFFFE
# A server that does not know the length yet writes the largest one, or 0.
_UNKNOWN_SIZES = range(0x7FFF_0000, 0x1_0000_0000)


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """16-bit samples from the byte `start` on. `size` is in bytes, infinite if unknown."""

    sample_rate: int
    channels: int = 1
    start: int = 0
    size: float = math.inf

    def __post_init__(self) -> None:
        if self.sample_rate not in _RATES or self.channels not in (1, 2):
            raise ValueError("unsupported sound")


async def pcm_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the sound of `response` as mono s16le PCM at SAMPLE_RATE. Raises ValueError if it is anything else."""
    content_type = response.headers.get("content-type", "").lower()
    if not content_type.startswith((*_RAW, *_WAV)):
        raise ValueError("not a sound")
    head, converter, left = b"", None, math.inf
    async for arrived in response.aiter_bytes():
        chunk = arrived
        if converter is None:
            head += arrived
            sound = _read_format(head, content_type, response.headers.get("x-sample-rate", ""))
            if sound is None:
                continue
            chunk, left, converter = head[sound.start :], sound.size, _Converter(sound)
        if len(chunk) > left:  # Whatever follows the samples in a WAV file is not sound.
            chunk = chunk[: int(left)]
        left -= len(chunk)
        if pcm := converter.convert(chunk):
            yield pcm
    if converter is not None and (pcm := converter.rest()):
        yield pcm


def _read_format(head: bytes, content_type: str, rate: str) -> SoundFormat | None:
    """Return the format of a sound that begins with `head`; None if more of it is needed. Raises ValueError."""
    if len(head) < 4:
        return None
    if head.startswith(b"RIFF"):
        return _read_wav_header(head)
    if content_type.startswith(_WAV):
        raise ValueError("not a WAV file")
    in_type = re.search(r"rate=(\d{1,6})", content_type)
    return SoundFormat(int(rate or (in_type[1] if in_type else SAMPLE_RATE)))


def _read_wav_header(head: bytes) -> SoundFormat | None:
    position, sample_rate, channels = 12, 0, 0
    while len(head) >= position + 8:
        name, size = struct.unpack_from("<4sI", head, position)
        position += 8
        if name == b"data":
            return SoundFormat(
                sample_rate, channels, position, math.inf if size in _UNKNOWN_SIZES else size or math.inf
            )
        if position + size > _LONGEST_HEAD:
            raise ValueError("no samples")
        if name == b"fmt " and len(head) >= position + 16:
            kind, channels, sample_rate, _bytes, _block, bits = struct.unpack_from("<HHIIHH", head, position)
            if kind not in (_PCM, _EXTENSIBLE) or bits != 16:
                raise ValueError("unsupported samples")
        position += size + size % 2
    return None


class _Converter:
    """Converts s16le samples to SAMPLE_RATE and mono, in pieces of any size."""

    def __init__(self, sound: SoundFormat) -> None:
        self._sound = sound
        self._layout = "mono" if sound.channels == 1 else "stereo"
        self._waiting = b""
        self._resampler: AudioResampler | None = None
        if (sound.sample_rate, sound.channels) != (SAMPLE_RATE, 1):
            self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def convert(self, pcm: bytes) -> bytes:
        if self._resampler is None:
            return pcm
        pcm = self._waiting + pcm
        whole = len(pcm) // (2 * self._sound.channels) * 2 * self._sound.channels
        pcm, self._waiting = pcm[:whole], pcm[whole:]
        if not pcm:
            return b""
        frame = AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[np.newaxis], format="s16", layout=self._layout)
        frame.sample_rate = self._sound.sample_rate
        return _bytes_of(self._resampler.resample(frame))

    def rest(self) -> bytes:
        """Return what the resampler still holds back."""
        return b"" if self._resampler is None else _bytes_of(self._resampler.resample(None))


def _bytes_of(frames: Iterable[AudioFrame | None]) -> bytes:
    return b"".join(frame.to_ndarray().tobytes() for frame in frames if frame)
