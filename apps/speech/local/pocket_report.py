"""Measures Pocket TTS on this machine, for operators to report: what no one has published about this release."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from apps.speech.base import Recording
from apps.speech.local import pocket, samples
from apps.speech.local.pocket_bundle import PocketConfig
from apps.speech.local.pocket_reference import HEARD_SECONDS, SAMPLE_RATE, choose_reference
from apps.speech.local.samples import Samples

if TYPE_CHECKING:
    from sherpa_onnx import OfflineTts

TEXT = "The first bus leaves at seven in the morning, and the last one comes home at midnight."
# Both calls have the same seed, so that only the reference can make a difference.
SEED = pocket.SEEDS[0]


@dataclass(frozen=True, slots=True)
class Speech:
    """The answer to TEXT. `first_sound_seconds` and `seconds` are how long it took."""

    sound: Samples
    first_sound_seconds: float
    seconds: float

    @property
    def real_time_factor(self) -> float:
        return self.seconds / max(self.sound.size / SAMPLE_RATE, 1e-9)


def report(config: PocketConfig, recording: Recording) -> Iterator[str]:
    """Yield lines of measurements with a voice cloned from `recording`, speech of 10 s or more. Blocks for seconds.

    The lines contain nothing about a person. Raises BundleError, ImportError and ProviderError.
    """
    yield f"sherpa-onnx {version('sherpa-onnx')}, Python {platform.python_version()}, {platform.platform()}"
    yield f"{os.cpu_count()} cores, {config.threads} threads, bundle {config.bundle.sha256[:12]}"
    start = time.perf_counter()
    model = pocket.load_pocket(config.model_dir, config.bundle, config.threads)
    yield f"loaded and verified in {time.perf_counter() - start:.2f} s"
    reference = samples.from_recording(choose_reference([recording]), sample_rate=SAMPLE_RATE)
    first, second = (_speak(model, reference) for _ in range(2))
    yield f"first call: first sound after {first.first_sound_seconds:.2f} s, all after {first.seconds:.2f} s"
    yield (
        f"second call: first sound after {second.first_sound_seconds:.2f} s, all after {second.seconds:.2f} s, "
        f"{second.sound.size / SAMPLE_RATE:.2f} s of speech, real-time factor {second.real_time_factor:.2f}"
    )
    yield f"plausible speech: {_yes(pocket.is_plausible(second.sound, TEXT))}"
    yield f"the same text with the same seed sounds the same: {_yes(np.array_equal(first.sound, second.sound))}"
    other = _speak(model, with_another_end(reference))
    yield (
        f"a reference that differs after {HEARD_SECONDS} s sounds the same: "
        f"{_yes(np.array_equal(second.sound, other.sound))}"
    )
    yield f"memory of this process: {_peak_megabytes():.0f} MB at most"


def with_another_end(reference: Samples) -> Samples:
    """Return `reference` with the part after HEARD_SECONDS backwards: other speech of the same length and level."""
    heard = round(HEARD_SECONDS * SAMPLE_RATE)
    return np.concatenate([reference[:heard], reference[heard:][::-1]])


def _speak(model: OfflineTts, reference: Samples) -> Speech:
    start = time.perf_counter()
    first_sound: list[float] = []

    def note_time() -> bool:  # It is asked with each chunk of sound.
        first_sound.append(time.perf_counter() - start)
        return False

    sound = pocket.generate(model, TEXT, reference, SEED, note_time)
    seconds = time.perf_counter() - start
    return Speech(sound, [*first_sound, seconds][0], seconds)


def _peak_megabytes() -> float:
    import resource  # Not on Windows.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if platform.system() == "Darwin" else 1e3)


def _yes(value: bool) -> str:  # noqa: FBT001 - the only thing that it is about
    return "yes" if value else "no"
