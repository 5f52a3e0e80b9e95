"""A second speaker encoder, which no voice is fitted with: the network of Resemblyzer, without PyTorch.

Its weights are the file `pretrained.pt` in Resemblyzer's package, which is an archive that nobody has to install
(Apache-2.0). It is an LSTM over windows of a mel spectrogram, like the encoder of the project, trained by others on
other speakers.
"""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.speech.local import speaker
from apps.speech.local.samples import Samples
from apps.speech.local.speaker import Embedding

LAYERS, UNITS = 3, 256
WINDOW_FRAMES, WINDOW_STEP = 160, 77
FRAME_SIZE, FRAME_STEP = 400, 160
NUMBER = {"FloatStorage": "<f4", "LongStorage": "<i8", "DoubleStorage": "<f8"}

Weights = dict[str, NDArray[np.float32]]


class SecondEncoder:
    def __init__(self, path: Path) -> None:
        self._weights = read_weights(path)

    def embed(self, sound: Samples) -> Embedding:
        """Return the embedding of speech at 16 kHz: a vector of length 1, shape (256,)."""
        mel = mel_spectrogram(speaker.remove_silence(sound))
        mel = np.pad(mel, ((0, max(0, WINDOW_FRAMES - len(mel))), (0, 0)))
        starts = range(0, len(mel) - WINDOW_FRAMES + 1, WINDOW_STEP)
        last = self._recurrent(np.stack([mel[start : start + WINDOW_FRAMES] for start in starts]))
        vectors = np.maximum(0, last @ self._weights["linear.weight"].T + self._weights["linear.bias"])
        return speaker.unit(speaker.unit(vectors).mean(axis=0))

    def _recurrent(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the last output of the LSTM for frames of shape (windows, time, bands). Shape (windows, 256)."""
        for layer in range(LAYERS):
            inner, recurrent, *biases = (
                self._weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            inputs = frames @ inner.T + sum(biases)
            output: NDArray[np.floating[Any]] = np.zeros((len(frames), UNITS), np.float32)
            cell = output
            outputs = []
            for moment in range(frames.shape[1]):
                gates = inputs[:, moment] + output @ recurrent.T
                enter, forget, candidate, leave = np.split(gates, 4, axis=1)
                cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
                output = _sigmoid(leave) * np.tanh(cell)
                outputs.append(output)
            frames = np.stack(outputs, axis=1).astype(np.float32)
        return frames[:, -1]


def _sigmoid(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    result: NDArray[np.floating[Any]] = 1 / (1 + np.exp(-values))
    return result


def mel_spectrogram(sound: Samples) -> NDArray[np.float32]:
    """Return the power in 40 mel bands, one frame each 10 ms. Shape (frames, 40)."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, FRAME_SIZE // 2), FRAME_SIZE)[::FRAME_STEP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SIZE) / FRAME_SIZE)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    frequencies = np.linspace(0, speaker.SAMPLE_RATE / 2, FRAME_SIZE // 2 + 1)[:, np.newaxis]
    edges = speaker.mel_to_hertz(np.linspace(0, speaker.hertz_to_mel(speaker.SAMPLE_RATE / 2), speaker.MEL_BANDS + 2))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    spectrogram: NDArray[np.float32] = (power @ filters).astype(np.float32)
    return spectrogram


def read_weights(path: Path) -> Weights:
    """Read the tensors of a file of `torch.save` in its old format: five pickles, then the numbers of each storage."""
    file = io.BytesIO(path.read_bytes())
    for _ in range(3):  # A magic number, a version, and the sizes of C's types.
        _Reader(file).load()
    reader = _Reader(file)
    state = reader.load()["model_state"]
    for key in _Reader(file).load():
        size = int.from_bytes(file.read(8), "little")
        kind = NUMBER[reader.kinds[key]]
        reader.storages[key] = np.frombuffer(file.read(size * np.dtype(kind).itemsize), kind)
    return {name: tensor(reader.storages) for name, tensor in state.items()}


class _Reader(pickle.Unpickler):
    """Reads tensors as functions of the storages, and refuses every class that a file of weights does not need."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, str] = {}
        self.storages: dict[str, NDArray[Any]] = {}

    def persistent_load(self, pid: tuple[Any, ...]) -> str:
        _storage, kind, key, *_rest = pid
        self.kinds[key] = kind
        return str(key)

    def find_class(self, module_name: str, global_name: str) -> Any:
        if global_name == "OrderedDict":
            return collections.OrderedDict
        if global_name in {"_rebuild_tensor", "_rebuild_tensor_v2"}:
            return _tensor
        if module_name == "torch" and global_name in NUMBER:
            return global_name
        return lambda *_arguments, **_keywords: None  # The state of the optimiser.


def _tensor(key: str, offset: int, shape: tuple[int, ...], *_rest: Any) -> Any:
    count = int(np.prod(shape))
    return lambda storages: storages[key][offset : offset + count].reshape(shape)
