"""Pocket TTS, which clones a voice on this machine: experimental, English only, and installed on request.

The model continues a reference, a second of the person's speech, with the text. sherpa-onnx runs it. Decision 24 says
what is known about both, and what nobody has measured.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.base import POCKET, ProviderError, ProviderVoice, Recording, SpokenConsent, VoiceSettings
from apps.speech.local import pocket_bundle, samples, voice_files
from apps.speech.local.pocket_bundle import Bundle, BundleError, PocketConfig
from apps.speech.local.pocket_reference import SAMPLE_RATE, choose_reference
from apps.speech.local.pocket_text import speakable_segments
from apps.speech.local.processor import PROCESSOR
from apps.speech.local.samples import Samples
from apps.speech.local.worker import Listener, ModelWorker, shared_worker
from apps.speech.voice_folder import VoiceFolder

if TYPE_CHECKING:
    from sherpa_onnx import GenerationConfig, OfflineTts

logger = logging.getLogger(__name__)


FRAME_SECONDS = 0.08
# The model does not always notice the end of a text, and then goes on until it is stopped. Slow speech takes 0.1 s for
# a character; figures and abbreviations take more.
SECONDS_PER_CHARACTER, SPARE_SECONDS = 0.25, 2.0
MAX_FRAMES = 500  # The runtime's own limit: 40 s.
# Fixed, so that a text always sounds the same. The second one is for a text that went wrong with the first.
SEEDS = (1, 2)
NUM_STEPS = 5
TEMPERATURE = 0.7
# The runtime would shorten pauses to this share.
SILENCE_SCALE = 1.0
GO_ON, STOP = 1, 0


class PocketTextToSpeech:
    """A TextToSpeech with the voices of PocketVoiceCloner. It ignores all voice settings, as the model has none."""

    sample_rate = SAMPLE_RATE

    def __init__(self, config: PocketConfig) -> None:
        self._config = config
        self._worker = pocket_worker(config)

    async def preload(self) -> None:
        await self._worker.preload(stage="speak")

    def speak(self, text: str, *, voice_id: str, settings: VoiceSettings, previous_text: str) -> AsyncGenerator[bytes]:
        playback = PROCESSOR.playback(text, voice_id=voice_id, previous_text=previous_text)

        def produce(pocket: OfflineTts, listener: Listener[bytes]) -> None:
            reference = load_reference(self._config.voices_dir, voice_id)
            for segment in speakable_segments(text):
                if listener.is_closed:
                    return
                sound = synthesise(pocket, segment, reference, lambda: listener.is_closed)
                PROCESSOR.add_sound(playback, len(sound) / SAMPLE_RATE)
                listener.send(samples.to_pcm(sound))

        return PROCESSOR.speaking(self._worker.stream(produce, stage="speak"), playback)


class PocketVoiceCloner:
    """A VoiceCloner that stores each voice, which is its reference, and its name in a file."""

    def __init__(self, config: PocketConfig) -> None:
        self._config = config
        self._worker = pocket_worker(config)

    async def create(self, name: str, samples: Sequence[Recording], *, consent: SpokenConsent | None = None) -> str:
        await self._worker.preload(stage="clone")  # A voice that could not speak would help nobody.
        reference = await asyncio.to_thread(choose_reference, samples)
        voice_id = voice_files.new_voice_id(POCKET)
        await asyncio.to_thread(save_voice, self._config.voices_dir, voice_id, name, reference)
        return voice_id

    async def delete(self, voice_id: str) -> None:
        await asyncio.to_thread(voice_files.delete_voice, self._config.voices_dir, voice_id, engine=POCKET)

    async def list(self) -> list[ProviderVoice]:
        return await asyncio.to_thread(lambda: list(voice_files.saved_voices(self._config.voices_dir, engine=POCKET)))


def pocket_worker(config: PocketConfig) -> ModelWorker[OfflineTts]:
    return shared_worker(load_pocket, config.model_dir, config.bundle, config.threads)


def load_pocket(model_dir: Path, bundle: Bundle, threads: int) -> OfflineTts:
    """Load the model. Raises BundleError or ImportError if it is not installed."""
    import sherpa_onnx

    pocket_bundle.verify(model_dir, bundle)
    paths = {file.name.split(".")[0]: str(model_dir / file.name) for file in bundle.files}
    model = sherpa_onnx.OfflineTtsPocketModelConfig(
        lm_flow=paths["lm_flow"],
        lm_main=paths["lm_main"],
        encoder=paths["encoder"],
        decoder=paths["decoder"],
        text_conditioner=paths["text_conditioner"],
        vocab_json=paths["vocab"],
        token_scores_json=paths["token_scores"],
        # The runtime would keep the voices of people who have deleted them.
        voice_embedding_cache_capacity=0,
    )
    config = sherpa_onnx.OfflineTtsConfig(
        model=sherpa_onnx.OfflineTtsModelConfig(pocket=model, num_threads=threads, provider="cpu", debug=False)
    )
    if not config.validate():  # Without it, a missing file would end the process.
        raise BundleError(f"sherpa-onnx does not accept the files in {model_dir}.")
    return sherpa_onnx.OfflineTts(config)


def synthesise(pocket: OfflineTts, text: str, reference: Samples, is_stopped: Callable[[], bool]) -> Samples:
    """Return the speech of `text` at 24 kHz; only a part of it if `is_stopped` meanwhile. Shape (samples,).

    Raises ProviderError provider_answer_invalid if the model finds no end of the text or returns no numbers.
    """
    for seed in SEEDS:
        sound = generate(pocket, text, reference, seed, is_stopped)
        if is_stopped() or is_plausible(sound, text):
            return sound
        logger.warning("Pocket TTS returned unusable sound", extra={"seed": seed, "characters": len(text)})
    raise ProviderError("provider_answer_invalid", stage="speak", retryable=True)


def generate(
    pocket: OfflineTts, text: str, reference: Samples, seed: int, is_stopped: Callable[[], bool] = lambda: False
) -> Samples:
    """Return what the model says, unchecked. `reference` is at 24 kHz. Shape (samples,)."""

    def on_chunk(_samples: object, _progress: float) -> int:
        return STOP if is_stopped() else GO_ON

    spoken = pocket.generate(text, config=generation_config(text, reference, seed), callback=on_chunk)
    return np.asarray(spoken.samples, np.float32)


def generation_config(text: str, reference: Samples, seed: int) -> GenerationConfig:
    import sherpa_onnx

    config = sherpa_onnx.GenerationConfig()
    config.reference_audio = reference
    config.reference_sample_rate = SAMPLE_RATE  # Another rate would write a line to stderr for each call.
    config.num_steps = NUM_STEPS
    config.silence_scale = SILENCE_SCALE
    config.extra = {"temperature": str(TEMPERATURE), "seed": str(seed), "max_frames": str(max_frames(text))}
    return config


def max_frames(text: str) -> int:
    """Return how many frames the speech of `text` may have."""
    seconds = SPARE_SECONDS + SECONDS_PER_CHARACTER * len(text)
    return min(MAX_FRAMES, math.ceil(seconds / FRAME_SECONDS))


def is_plausible(sound: Samples, text: str) -> bool:
    """Tell whether `sound` ended by itself and consists of numbers."""
    limit = max_frames(text) * FRAME_SECONDS * SAMPLE_RATE
    return 0 < sound.size < limit and bool(np.isfinite(sound).all())


def save_voice(voices_dir: VoiceFolder, voice_id: str, name: str, reference: Recording) -> None:
    voice_files.write_fields(voices_dir, voice_id, name, {"reference": np.frombuffer(reference.pcm, "<i2")})


def load_reference(voices_dir: VoiceFolder, voice_id: str) -> Samples:
    """Return the reference of a saved voice, at 24 kHz. Raises ProviderError provider_voice_missing."""
    pcm = voice_files.read_fields(voices_dir, voice_id, engine=POCKET)["reference"].astype("<i2").tobytes()
    return samples.from_recording(Recording(pcm, SAMPLE_RATE), sample_rate=SAMPLE_RATE)
