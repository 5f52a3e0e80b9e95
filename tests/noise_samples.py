"""Sounds without speech, for tests: noises, hums, clicks and tones, made up by formulas, 16 kHz.

Each is as loud as a person near a microphone unless it is told otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from apps.speech.base import Recording
from tests.audio_samples import silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
LEVEL_DB = -25.0  # dBFS RMS.

Samples: TypeAlias = "NDArray[np.floating[Any]]"


def noise_of(kind: str, *, seconds: float = 3, level_db: float = LEVEL_DB, seed: int = 1) -> Recording:
    """Return a sound of a kind of KINDS, with a level in dBFS RMS."""
    return _recording(_scaled(KINDS[kind](round(seconds * SAMPLE_RATE), np.random.default_rng(seed)), level_db))


def in_noise(speech: Recording, kind: str, *, over_noise_db: float) -> Recording:
    """Return `speech`, 16 kHz, in a noise that is `over_noise_db` quieter than the whole recording."""
    words: Samples = np.frombuffer(speech.pcm, "<i2") / 32768
    speech_db = 20 * float(np.log10(words.std()))
    noise = KINDS[kind](words.size, np.random.default_rng(1))
    return _recording(words + _scaled(noise, speech_db - over_noise_db))


def scaled(recording: Recording, level_db: float) -> Recording:
    """Return `recording`, 16 kHz, with another level in dBFS RMS."""
    return _recording(_scaled(np.frombuffer(recording.pcm, "<i2") / 32768, level_db))


def surrounded(recording: Recording, seconds: float) -> Recording:
    """Return `recording`, 16 kHz, between two silences of `seconds`."""
    return Recording(silence(seconds).pcm + recording.pcm + silence(seconds).pcm, SAMPLE_RATE)


def whispered(speech: Recording) -> Recording:
    """Return `speech`, 16 kHz, with noise instead of the voice: the spectra of its moments, but no pitch."""
    words: Samples = np.pad(np.frombuffer(speech.pcm, "<i2") / 32768, (0, 640))
    random, window = np.random.default_rng(1), np.hanning(640)
    whisper = np.zeros(words.size)
    for start in range(0, words.size - 640, 320):
        cepstrum = np.fft.irfft(np.log(np.abs(np.fft.rfft(words[start : start + 640] * window)) + 1e-7))
        cepstrum[24:-24] = 0
        spectrum = np.exp(np.fft.rfft(cepstrum).real) * np.minimum(1, np.fft.rfftfreq(640, 1 / SAMPLE_RATE) / 800)
        breath = np.fft.rfft(random.standard_normal(640) * window)
        whisper[start : start + 640] += np.fft.irfft(spectrum * breath) * window
    return _recording(_scaled(whisper, LEVEL_DB - 10))


def _scaled(samples: Samples, level_db: float) -> Samples:
    scale: float = 10 ** (level_db / 20) / samples.std()
    return samples * scale


def _recording(samples: Samples) -> Recording:
    return Recording(np.clip(samples * 32768, -32768, 32767).astype("<i2").tobytes(), SAMPLE_RATE)


def _shaped(size: int, random: np.random.Generator, gain: Callable[[Samples], Samples]) -> Samples:
    """Return white noise, filtered by `gain`, a function of the frequency in hertz."""
    spectrum = np.fft.rfft(random.standard_normal(size))
    shaped: Samples = np.fft.irfft(spectrum * gain(np.fft.rfftfreq(size, 1 / SAMPLE_RATE)), size)
    return shaped


def _seconds(size: int) -> Samples:
    return np.arange(size) / SAMPLE_RATE


def _tone(size: int, hertz: float) -> Samples:
    sine: Samples = np.sin(2 * np.pi * hertz * _seconds(size))
    return sine


def white(size: int, random: np.random.Generator) -> Samples:
    return random.standard_normal(size)


def pink(size: int, random: np.random.Generator) -> Samples:
    return _shaped(size, random, lambda hertz: np.maximum(hertz, 20) ** -0.5)


def brown(size: int, random: np.random.Generator) -> Samples:
    """As in a car or an aeroplane."""
    return _shaped(size, random, lambda hertz: np.maximum(hertz, 20) ** -1.0)


def _hum(size: int, random: np.random.Generator, mains: float) -> Samples:
    tones = [_tone(size, mains * harmonic) / harmonic for harmonic in range(1, 21)]
    hum: Samples = np.sum(tones, axis=0) + 0.02 * random.standard_normal(size)
    return hum


def hum_50(size: int, random: np.random.Generator) -> Samples:
    """Mains hum of Europe, with harmonics."""
    return _hum(size, random, 50)


def hum_60(size: int, random: np.random.Generator) -> Samples:
    """Mains hum of America, with harmonics."""
    return _hum(size, random, 60)


def fan(size: int, random: np.random.Generator) -> Samples:
    """Air, the tone of the blades, and a slow change in its strength."""
    air = _shaped(size, random, lambda hertz: 1 / (1 + (hertz / 400) ** 2))
    air /= air.std()
    blowing: Samples = (air + 0.5 * _tone(size, 118) + 0.2 * _tone(size, 236)) * (1 + 0.2 * _tone(size, 0.7))
    return blowing


def _strokes(size: int, random: np.random.Generator, *, a_second: float, decay_seconds: float) -> Samples:
    """Return short bursts of noise at random times, over a quiet room."""
    samples = 0.002 * random.standard_normal(size)
    length = round(6 * decay_seconds * SAMPLE_RATE)
    fading = np.exp(-np.arange(length) / (decay_seconds * SAMPLE_RATE))
    for start in random.integers(0, max(size - length, 1), max(2, round(a_second * size / SAMPLE_RATE))):
        burst = fading * random.standard_normal(length) * random.uniform(0.3, 1)
        samples[start : start + length] += burst[: size - start]
    return samples


def clicks(size: int, random: np.random.Generator) -> Samples:
    return _strokes(size, random, a_second=3, decay_seconds=0.0005)


def keyboard(size: int, random: np.random.Generator) -> Samples:
    return _strokes(size, random, a_second=8, decay_seconds=0.008)


def knocks(size: int, random: np.random.Generator) -> Samples:
    """Knocks on wood: the strokes excite the table."""
    strokes = np.fft.rfft(_strokes(size, random, a_second=2, decay_seconds=0.03))
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    knocking: Samples = np.fft.irfft(strokes / (1 + ((hertz - 180) / 120) ** 2), size)
    return knocking


def gusts(size: int, random: np.random.Generator) -> Samples:
    """Wind in the microphone, as fast as syllables."""
    blowing: Samples = brown(size, random) * (1.1 + _tone(size, 3.3)) ** 2
    return blowing


def tone(size: int, _random: np.random.Generator) -> Samples:
    return _tone(size, 440)


def chord(size: int, _random: np.random.Generator) -> Samples:
    notes: Samples = np.sum([_tone(size, hertz) for hertz in (261.6, 329.6, 392.0)], axis=0)
    return notes


def melody(size: int, random: np.random.Generator) -> Samples:
    """Four plucked notes with harmonics a second."""
    length = SAMPLE_RATE // 4
    notes = 220 * 2 ** (random.choice([0, 2, 4, 5, 7, 9, 11, 12], -(-size // length)) / 12)
    fading = np.exp(-5 * _seconds(length))
    played = [sum(_tone(length, hertz * k) / k**1.5 for k in range(1, 6)) * fading for hertz in notes]
    return np.concatenate(played)[:size]


def siren(size: int, _random: np.random.Generator) -> Samples:
    hertz = 900 + 400 * np.sin(2 * np.pi * 0.5 * _seconds(size))
    howling: Samples = np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE)
    return howling


NOISES = {
    made.__name__: made
    for made in (white, pink, brown, hum_50, hum_60, fan, clicks, keyboard, gusts, tone, chord, siren)
}
# The voice detector takes some of these for speech, now and then.
LIKE_SPEECH = {made.__name__: made for made in (knocks, melody)}
KINDS = NOISES | LIKE_SPEECH
