"""What a voice is given for a text."""

from __future__ import annotations

from apps.speech.availability import reads_numbers
from apps.speech.normalization.text import in_words
from apps.speech.normalization.vocabulary import LANGUAGES
from apps.speech.spoken_language import likely_language


def spoken_form(text: str, *, provider: str, language: str = "", previous_text: str = "") -> str:
    """Return `text` as a voice of `provider` needs it: in words, unless it reads numbers by itself.

    `language` is the ISO 639-1 code of what `text` should be in, or "". A sentence in another language, as in a lesson,
    is read in that language. `previous_text` was said just before.
    """
    if reads_numbers(provider) or (language and language not in LANGUAGES):
        return text
    return in_words(text, likely_language(text, expected=language, previous_text=previous_text))
