"""Creates `stock_voices.npz`, the embeddings of Kokoro's stock voices, which do not depend on any user.

    python -m apps.speech.local.make_stock_voices MODELS_DIR

Takes about ten minutes. Run it again after a change of the voices, the encoder or its preprocessing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from apps.speech.audio.resampling import join
from apps.speech.base import Recording
from apps.speech.local import kokoro, speaker
from apps.speech.local.config import LocalConfig
from apps.speech.local.onnx import open_session

SENTENCES = (
    "The early train was late again, so we walked home along the river and talked about the weather.",
    "She would rather choose five yellow flowers than buy another pair of leather shoes.",
)


def main(models_dir: Path) -> None:
    config = LocalConfig(models_dir, voices_dir=models_dir)
    encoder = open_session(config.speaker_encoder_path, threads=2)
    model = kokoro.load_kokoro(config.kokoro_path, config.stock_voices_path, threads=2)
    names = model.get_voices()
    embeddings = []
    for name in names:
        spoken = [
            kokoro.synthesise(model, sentence, model.get_voice_style(name), 1.0, "en-us") for sentence in SENTENCES
        ]
        recording = join([Recording(pcm, kokoro.SAMPLE_RATE) for pcm in spoken])
        embeddings.append(speaker.embed_now(encoder, recording, "clone"))
        sys.stdout.write(f"{name}\n")
    # Half precision has an error of 0.1 % and half the size.
    np.savez(kokoro.STOCK_EMBEDDINGS, names=np.array(names), embeddings=np.array(embeddings, np.float16))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
