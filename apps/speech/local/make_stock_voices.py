"""Creates `stock_voices.npz`: what is measured of Kokoro's stock voices, which does not depend on any user.

    python -m apps.speech.local.make_stock_voices MODELS_DIR

Takes about ten minutes. Run it again after a change of the voices, the encoder or its preprocessing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from apps.speech.audio.resampling import join
from apps.speech.base import ProviderError, Recording
from apps.speech.local import kokoro, prosody, samples, speaker, spectrum, voice_fit
from apps.speech.local.config import LocalConfig
from apps.speech.local.voice_files import LocalVoice
from apps.speech.onnx import open_session
from apps.speech.voice_folder import VoiceFolder

SENTENCES = (
    "The early train was late again, so we walked home along the river and talked about the weather.",
    "She would rather choose five yellow flowers than buy another pair of leather shoes.",
)


def main(models_dir: Path) -> None:
    config = LocalConfig(models_dir, voices_dir=VoiceFolder(models_dir))
    encoder = open_session(config.speaker_encoder_path, threads=2)
    model = kokoro.load_kokoro(config.kokoro_path, config.stock_voices_path, threads=2)
    names = model.get_voices()
    embeddings, spectra, octaves = [], [], []
    for name in names:
        voice = LocalVoice(model.get_voice_style(name))
        spoken = [kokoro.synthesise(model, sentence, voice, 1.0, "en") for sentence in SENTENCES]
        recording = join([Recording(pcm, voice_fit.SAMPLE_RATE) for pcm in spoken])
        sound = samples.from_recording(recording, sample_rate=speaker.SAMPLE_RATE)
        pitch = prosody.measure_pitch(sound)
        if pitch is None:
            raise ProviderError("provider_failed", stage="clone", retryable=False)
        embeddings.append(speaker.embed_now(encoder, recording, "clone"))
        spectra.append(spectrum.mean_spectrum(sound, "clone"))
        octaves.append(np.log2(pitch))
        sys.stdout.write(f"{name}\n")
    # Half precision has an error of 0.1 % and half the size.
    measured = {"embeddings": embeddings, "spectra": spectra, "octaves": octaves}
    arrays = {field: np.array(values, np.float16) for field, values in measured.items()}
    np.savez(voice_fit.STOCK_VOICES, names=np.array(names), **arrays)  # type: ignore[arg-type] # as in voice_files


if __name__ == "__main__":
    main(Path(sys.argv[1]))
