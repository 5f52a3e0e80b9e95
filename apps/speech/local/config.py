from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.speech.local.catalogue import KOKORO_NETWORK, KOKORO_VOICES, SMOLLM2, SPEAKER_ENCODER, TURN_ENDS
from apps.speech.voice_folder import VoiceFolder


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """The configuration of the embedded engines.

    `weights` fills `models_dir`, and the voice cloner fills `voices_dir`. `stt_model` is the name of a folder in
    `models_dir` or the path of any faster-whisper folder. `chat_model` is the name of a model in the catalogue's
    CHAT_MODELS, the path of any GGUF file, or "auto": see `chat_choice`. `threads` is the number of CPU threads for
    speech to text and for text to speech, each.
    """

    models_dir: Path
    voices_dir: VoiceFolder
    stt_model: str = "whisper-base"
    chat_model: str = SMOLLM2.name
    threads: int = 1
    max_reply_tokens: int = 150

    # An absolute path after the operator / replaces the path before it.

    @property
    def whisper_dir(self) -> Path:
        return self.models_dir / self.stt_model

    @property
    def kokoro_path(self) -> Path:
        return self.models_dir / KOKORO_NETWORK.path

    @property
    def stock_voices_path(self) -> Path:
        return self.models_dir / KOKORO_VOICES.path

    @property
    def speaker_encoder_path(self) -> Path:
        return self.models_dir / SPEAKER_ENCODER.files[0].path

    @property
    def turn_ends_path(self) -> Path:
        return self.models_dir / TURN_ENDS.files[0].path
