"""Transcripts of nothing."""

from __future__ import annotations

import time

import pytest

from apps.speech.phantoms import has_words, is_doubtful


@pytest.mark.parametrize("text", [".", "…", "♪", "♪♪♪", "- -", "💬", "[]", "( )", " ", ""])
def test_marks_are_no_words(text: str) -> None:
    assert not has_words(text)
    assert is_doubtful(text)


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for watching!",
        "THANKS FOR WATCHING",
        "Thank you. Thank you. Thank you.",
        "you",
        "Bye-bye.",
        "[BLANK_AUDIO]",
        "(music)",
        "*sighs* (laughs)",
        "♪ La la la ♪",
        "[Music] Thank you.",
        "Subtitles by the Amara.org community",
        "Untertitel der Amara.org-Community",
        "Untertitelung des ZDF, 2020",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Merci d’avoir regardé cette vidéo !",
        "¡Gracias por ver el video!",
        "Sottotitoli creati dalla comunità Amara.org",
        "Продолжение следует...",
        "Субтитры сделал DimaTorzok",
        "ご視聴ありがとうございました。",
        "시청해주셔서 감사합니다.",
        "谢谢观看",
        "字幕由 Amara.org 社区提供",
    ],
)
def test_what_models_write_over_noise_is_doubtful(text: str) -> None:
    assert is_doubtful(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?",
        "Thank you, and what is next?",
        "[Music] Who is singing?",
        "Youth.",
        "5",
        "你好",
    ],
)
def test_a_question_is_not_doubtful(text: str) -> None:
    assert has_words(text)
    assert not is_doubtful(text)


@pytest.mark.parametrize("text", ["[" * 5_000, "♪" * 5_000, "bye " * 1_000 + "x", "legenda a " * 1_000])
def test_long_texts_are_read_quickly(text: str) -> None:
    started = time.process_time()
    is_doubtful(text)
    assert time.process_time() - started < 0.2
