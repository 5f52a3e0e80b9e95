"""The stand-in for the files of Pocket TTS: see make_stand_in_pocket.py."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from apps.speech.base import Recording
from apps.speech.local.pocket_bundle import OFFICIAL, Bundle, BundleFile

STAND_IN_DIR = Path(__file__).parent / "data" / "models" / "pocket-tts"
# Characters that the stand-in answers with NaN, and with a speech without end.
NOT_A_NUMBER, ENDLESS = "☠", "∞"


def bundle_of(folder: Path, *, url: str = "", size: int = 0, sha256: str = "") -> Bundle:
    """Return a bundle of the files in `folder`, which have the names of the official ones and other hashes."""
    files = tuple(_described(folder / file.name) for file in OFFICIAL.files)
    return Bundle(url=url, folder="pocket", size=size, sha256=sha256, files=files)


def _described(path: Path) -> BundleFile:
    content = path.read_bytes()
    return BundleFile(path.name, len(content), hashlib.sha256(content).hexdigest())


def tone(hertz: float, *, seconds: float = 12, sample_rate: int = 24_000) -> Recording:
    """Return a tone, which for the stand-in is a voice of that pitch."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    return Recording((8000 * np.sin(2 * np.pi * hertz * times)).astype("<i2").tobytes(), sample_rate)


def pitch_of(recording: Recording) -> float:
    """Return the loudest frequency of `recording` in hertz."""
    spectrum = np.abs(np.fft.rfft(np.frombuffer(recording.pcm, "<i2")))
    return float(spectrum.argmax() / recording.seconds)
