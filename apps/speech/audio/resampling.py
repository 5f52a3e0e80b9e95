"""Converts decoded frames to mono 16-bit PCM, resamples recordings, and joins them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from apps.speech.base import AudioError, Recording
from apps.speech.base import mark_for_translation as _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FLOAT_FORMATS = ("flt", "dbl")  # FFmpeg's names; only these can hold NaN and infinity.
JOINED_SAMPLES = 48_000
PAUSE_SECONDS = 0.5  # Between joined recordings.


def resample(recording: Recording, *, sample_rate: int) -> Recording:
    """Return `recording` at `sample_rate` hertz."""
    if recording.sample_rate == sample_rate:
        return recording
    return Recording(mono_pcm(as_frames(recording.pcm, recording.sample_rate), sample_rate), sample_rate)


def join(recordings: Sequence[Recording]) -> Recording:
    """Join `recordings` (at least one, all with the same sample rate), with half a second of silence between them."""
    (sample_rate,) = {recording.sample_rate for recording in recordings}
    pause = bytes(2 * round(PAUSE_SECONDS * sample_rate))
    return Recording(pause.join(recording.pcm for recording in recordings), sample_rate)


def mono_pcm(frames: Iterable[AudioFrame], sample_rate: int) -> bytes:
    """Mix down and resample to s16le. Each run of frames of one format gets its own resampler. Raises AudioError."""
    chunks = []
    for kind, run in itertools.groupby(frames, key=_kind_of_frame):
        if kind == ("s16", 1, sample_rate):
            chunks += [bytes(frame.planes[0])[: 2 * frame.samples] for frame in run]
            continue
        resampler = AudioResampler(format="s16", layout="mono", rate=sample_rate)
        for frame in itertools.chain(_joined(run), [None]):  # None flushes the resampler, which may return it.
            chunks += [output.to_ndarray().tobytes() for output in filter(None, resampler.resample(frame))]
    return b"".join(chunks)


def _joined(frames: Iterable[AudioFrame]) -> Iterator[AudioFrame]:
    """Join frames of one format to longer ones and check them: four times faster than frames of 20 ms."""
    joined = AudioFifo()
    for frame in frames:
        frame.pts = None  # The times in the file are ignored; only the number of samples counts.
        joined.write(frame)
        if joined.samples >= JOINED_SAMPLES:
            yield _checked(joined.read())
    if joined.samples:
        yield _checked(joined.read())


def _checked(frame: AudioFrame | None) -> AudioFrame:
    assert frame is not None  # noqa: S101 - only an empty queue returns None
    if frame.format.name.startswith(FLOAT_FORMATS) and not np.isfinite(frame.to_ndarray()).all():
        raise AudioError("audio_unsupported", _("The recording contains invalid samples. Save it as MP3 or WAV."))
    return frame


def _kind_of_frame(frame: AudioFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


def as_frames(pcm: bytes, sample_rate: int) -> list[AudioFrame]:
    """Return mono s16le samples as one frame, or an empty list if there are none: FFmpeg fails on empty frames."""
    if not pcm:
        return []
    frame = AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = sample_rate
    return [frame]
