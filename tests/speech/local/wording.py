from __future__ import annotations

import jiwer

_plain = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes({r"\bmr\b\.?": "mister", r"\bmrs\b\.?": "missis", r"-": " "}),
        jiwer.SubstituteRegexes({r"[^\w\s]": ""}),
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
    ]
)


def plain_words(text: str) -> str:
    """Return the spoken form of `text`, so that different spellings of the same words are equal."""
    plain: str = _plain(text)
    return plain
