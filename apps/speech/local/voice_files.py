"""The files of the voices that are cloned on this machine: one for each voice, with its name and its engine's fields.

The id of a voice begins with the name of its engine, and no engine reads the files of another.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.speech.base import LOCAL, ProviderError, ProviderVoice
from apps.speech.local.samples import Samples
from apps.speech.voice_folder import VoiceFolder

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


def save_voice(voices_dir: VoiceFolder, voice_id: str, name: str, voice: LocalVoice) -> None:
    fields = {"voice": voice.styles, "pitch_scale": np.array(voice.pitch_scale)}
    if voice.response is not None:
        fields["response"] = voice.response
    write_fields(voices_dir, voice_id, name, fields)


def load_voice(voices_dir: VoiceFolder, voice_id: str) -> LocalVoice:
    """Return a saved voice. Raises ProviderError provider_voice_missing.

    The files of earlier versions contain nothing but the name and the style vectors.
    """
    fields = read_fields(voices_dir, voice_id, engine=LOCAL)
    return LocalVoice(fields["voice"], fields.get("response"), float(fields.get("pitch_scale", 1.0)))


def new_voice_id(engine: str) -> str:
    return f"{engine}-{uuid.uuid4().hex}"


def write_fields(voices_dir: VoiceFolder, voice_id: str, name: str, fields: Mapping[str, NDArray[Any]]) -> None:
    """Store a voice of any engine, all of it or nothing."""
    file = io.BytesIO()
    np.savez(file, name=np.array(name), **fields)  # type: ignore[arg-type] # the stub takes the fields for options
    voices_dir.write(file_name(voice_id), file.getvalue())


def read_fields(voices_dir: VoiceFolder, voice_id: str, *, engine: str) -> dict[str, NDArray[Any]]:
    """Return the fields of a voice of `engine`. Raises ProviderError provider_voice_missing."""
    try:
        if not _is_of(engine, voice_id):
            raise FileNotFoundError(voice_id)
        with np.load(voices_dir.fetched(file_name(voice_id))) as file:
            return dict(file)
    except FileNotFoundError:
        raise ProviderError("provider_voice_missing", stage="speak", retryable=False) from None


def delete_voice(voices_dir: VoiceFolder, voice_id: str, *, engine: str) -> None:
    if _is_of(engine, voice_id):
        voices_dir.delete(file_name(voice_id))


def saved_voices(voices_dir: VoiceFolder, *, engine: str) -> Iterator[ProviderVoice]:
    for name in voices_dir.names():
        if fnmatch(name, f"{engine}-*.npz"):
            with np.load(voices_dir.fetched(name)) as file:
                yield ProviderVoice(name.removesuffix(".npz"), str(file["name"]))


def file_name(voice_id: str) -> str:
    return f"{voice_id}.npz"


def _is_of(engine: str, voice_id: str) -> bool:
    return re.fullmatch(rf"{engine}-[0-9a-f]{{32}}", voice_id) is not None
