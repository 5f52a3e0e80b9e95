"""Converts text to the phonemes that Kokoro's network knows, in the language of the text."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from apps.speech.local.spoken_language import ENGLISH

if TYPE_CHECKING:
    from phonemizer.backend import EspeakBackend

# espeak-ng's names of the languages, and varieties, of Kokoro's stock voices.
ESPEAK_NAMES = {ENGLISH: "en-us", "es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}
# espeak-ng joins the letters of one sound with a tie. The network was trained with one letter for each such sound.
TIE = "^"
JOINED_SOUNDS = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    TIE: "",
}


def to_phonemes(text: str, language: str) -> str:
    """Return the phonemes of `text`. `language` is a key of ESPEAK_NAMES. Kokoro has to be loaded: it finds espeak-ng.

    Words in another language are pronounced in that language.
    """
    (phonemes,) = _backend(language).phonemize([text.strip()])
    if language != ENGLISH:
        for joined, letter in JOINED_SOUNDS.items():
            phonemes = phonemes.replace(joined, letter)
    return str(phonemes).strip()


@functools.cache
def _backend(language: str) -> EspeakBackend:
    from phonemizer.backend import EspeakBackend

    return EspeakBackend(
        ESPEAK_NAMES[language],
        preserve_punctuation=True,
        with_stress=True,
        tie=TIE if language != ENGLISH else False,
        language_switch="remove-flags",
    )
