"""Silero's voice activity detector, version 6 (`silero_vad.onnx`, MIT licence), one for the process.

Inputs: `input`, frames of 16 kHz from -1 to 1, each behind the last samples of the one before it, shape (frames, 576);
`h` and `c`, what the detector remembers, shape MEMORY. Outputs: the probability of speech of each frame, `h` and `c`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from apps.speech.onnx import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SAMPLE_RATE = 16_000
FRAME = 512  # In samples: 32 ms.
CONTEXT = 64  # The samples of the frame before.
MEMORY = (1, 1, 128)


@cache
def detector() -> InferenceSession:
    return open_session(Path(__file__).with_name("silero_vad.onnx"), threads=1)
