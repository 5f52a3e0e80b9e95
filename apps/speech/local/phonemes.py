"""Converts text to phonemes, in the language of the text."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from apps.speech.spoken_language import ENGLISH

if TYPE_CHECKING:
    from phonemizer.backend import EspeakBackend

# espeak-ng's names of the languages, and varieties, of Kokoro's stock voices.
ESPEAK_NAMES = {ENGLISH: "en-us", "es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}


def to_phonemes(text: str, language: str) -> str:
    """Return the phonemes of `text`. `language` is a key of ESPEAK_NAMES. Kokoro has to be loaded: it finds espeak-ng.

    Words in another script are pronounced in a language of that script.
    """
    return "".join(_backend(language).phonemize([text.strip()])).strip()


@functools.cache
def _backend(language: str) -> EspeakBackend:
    from phonemizer.backend import EspeakBackend

    name = ESPEAK_NAMES[language]
    return EspeakBackend(name, preserve_punctuation=True, with_stress=True, language_switch="remove-flags")
