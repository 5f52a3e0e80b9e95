from __future__ import annotations

import inspect
import re
from datetime import date

import pytest
from openai.types import audio_model
from openai.types.shared import chat_model

from apps.speech.providers.model_lifetimes import ANNOUNCED_ENDS, announced_end


def test_a_model_ends_on_the_announced_day() -> None:
    assert announced_end("whisper-1") == date(2027, 2, 26)


@pytest.mark.parametrize(
    ("snapshot", "end"),
    [
        ("gpt-4o-2024-08-06", date(2027, 1, 14)),
        ("gpt-4o-2024-05-13", date(2026, 10, 23)),
        ("gpt-4o-mini-transcribe-2025-12-15", date(2027, 2, 26)),
        ("gpt-5.4-mini-2026-03-17", None),
    ],
)
def test_a_snapshot_ends_with_its_family_or_before(snapshot: str, end: date | None) -> None:
    assert announced_end(snapshot) == end


@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-transcribe", "llama-4", "gpt-4o-2024", ""])
def test_other_models_have_no_end(model: str) -> None:
    assert announced_end(model) is None


@pytest.mark.parametrize("model", ANNOUNCED_ENDS)
def test_the_days_match_the_installed_sdk(model: str) -> None:
    notes = " ".join((inspect.getsource(chat_model) + inspect.getsource(audio_model)).split())
    days = [
        date.fromisoformat(day)
        for models, day in re.findall(r'- ((?:"[^"]+",? ?)+): Announced shutdown date: (\d{4}-\d\d-\d\d)', notes)
        if f'"{model}"' in models
    ]

    assert days == [ANNOUNCED_ENDS[model]]
