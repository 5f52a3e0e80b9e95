"""The files of the mixed voices: one for each voice, with its name, its style vectors, and how it is spoken with."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.speech.base import ProviderError, ProviderVoice
from apps.speech.local.samples import Samples

VOICE_ID = re.compile(r"local-[0-9a-f]{32}")

# Style vectors by number of phonemes, shape (510, 1, 256).
Styles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LocalVoice:
    """A mixed voice.

    `response` is the impulse response, at 24 kHz, of the filter that its speech goes through. Its pitch is multiplied
    by `pitch_scale`.
    """

    styles: Styles
    response: Samples | None = None
    pitch_scale: float = 1.0


def save_voice(voices_dir: Path, voice_id: str, name: str, voice: LocalVoice) -> None:
    fields = {"name": np.array(name), "voice": voice.styles, "pitch_scale": np.array(voice.pitch_scale)}
    if voice.response is not None:
        fields["response"] = voice.response
    file = io.BytesIO()
    np.savez(file, **fields)  # type: ignore[arg-type] # the stub takes the fields for options
    path = voice_path(voices_dir, voice_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(file.getvalue())
    partial.replace(path)


def load_voice(voices_dir: Path, voice_id: str) -> LocalVoice:
    """Return a saved voice. Raises ProviderError provider_voice_missing.

    The files of earlier versions contain nothing but the name and the style vectors.
    """
    try:
        if not VOICE_ID.fullmatch(voice_id):
            raise FileNotFoundError(voice_id)
        with np.load(voice_path(voices_dir, voice_id)) as file:
            return LocalVoice(file["voice"], file.get("response"), float(file.get("pitch_scale", 1.0)))
    except FileNotFoundError:
        raise ProviderError("provider_voice_missing", stage="speak", retryable=False) from None


def delete_voice(voices_dir: Path, voice_id: str) -> None:
    if VOICE_ID.fullmatch(voice_id):
        voice_path(voices_dir, voice_id).unlink(missing_ok=True)


def saved_voices(voices_dir: Path) -> Iterator[ProviderVoice]:
    for path in sorted(voices_dir.glob("local-*.npz")):
        with np.load(path) as file:
            yield ProviderVoice(path.stem, str(file["name"]))


def voice_path(voices_dir: Path, voice_id: str) -> Path:
    return voices_dir / f"{voice_id}.npz"
