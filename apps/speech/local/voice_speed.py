"""How fast the embedded voice speaks on this machine, and whether it can keep up with a listener."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from apps.speech.local import chat_choice

if TYPE_CHECKING:
    from kokoro_onnx import Kokoro

WARM_UP = "Hello there."
SENTENCE = "I am glad that you are here, and we can talk about anything you like."
STOCK_VOICE = "af_heart"


def measure(kokoro: Kokoro, weights: Path) -> None:
    """Speak, and remember beside the model how many seconds of speech a second of computing gives.

    `weights` is the model's file in its folder of the models' folder. The best of all measurements counts, because the
    machine may be busy at times.
    """
    kokoro.create(WARM_UP, STOCK_VOICE)
    started = time.perf_counter()
    sound, sample_rate = kokoro.create(SENTENCE, STOCK_VOICE)
    speed = len(sound) / sample_rate / (time.perf_counter() - started)
    models_dir = weights.parents[1]
    if speed > (chat_choice.known_speed(weights, models_dir) or 0):
        chat_choice.remember_speed(weights, models_dir, speed)


def load(weights: Path, models_dir: Path, tokens_per_second: float | None) -> float:
    """Return the share of the time of listening for which the voice, and with a speed the language model, compute.

    Above 1 they cannot keep up, and answers have pauses. A speed that is not measured yet counts as endless.
    """
    seconds = chat_choice.known_speed(weights, models_dir)
    speaking = 1 / seconds if seconds else 0.0
    return speaking + (chat_choice.SPOKEN_SPEED / tokens_per_second if tokens_per_second else 0.0)
