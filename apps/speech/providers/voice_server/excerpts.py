"""Chooses the part of the samples that a server gets as the reference of a voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from apps.speech.audio.levels import FRAME_SECONDS, spoken_frames
from apps.speech.audio.resampling import join, resample
from apps.speech.base import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SAMPLE_RATE = 24_000
# Every server accepts this much: the tightest limits are 30 s and 10 MB. Models gain nothing from more.
LONGEST_SECONDS = 15
# Shorter pauses may be inside a word.
_SHORTEST_PAUSE_FRAMES = 4


def excerpt(samples: Sequence[Recording]) -> Recording:
    """Return the stretch of at most 15 s that contains most speech, at 24 kHz.

    It begins and ends in pauses, so that it contains whole words, as its transcript does.
    """
    joined = join([resample(sample, sample_rate=SAMPLE_RATE) for sample in samples])
    spoken = spoken_frames(joined)
    start, end = _best_stretch(spoken, round(LONGEST_SECONDS / FRAME_SECONDS))
    frame_bytes = 2 * round(FRAME_SECONDS * SAMPLE_RATE)
    return Recording(joined.pcm[start * frame_bytes : end * frame_bytes], SAMPLE_RATE)


def _best_stretch(spoken: NDArray[np.bool_], longest: int) -> tuple[int, int]:
    """Return the first frame and the one after the last of the stretch between two pauses with most speech."""
    cuts = [0, *_pauses(spoken), spoken.size]
    speech_before = np.concatenate([[0], np.cumsum(spoken)])
    stretches = [(start, max(end for end in cuts if end <= start + longest)) for start in cuts]
    start, end = max(stretches, key=lambda stretch: int(speech_before[stretch[1]] - speech_before[stretch[0]]))
    if end > start:
        return start, end
    return 0, min(longest, spoken.size)  # Nobody pauses: a word at the end is cut.


def _pauses(spoken: NDArray[np.bool_]) -> Iterator[int]:
    """Yield the middle frame of each pause."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], spoken, [True]]).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= _SHORTEST_PAUSE_FRAMES:
            yield int(start + end) // 2
