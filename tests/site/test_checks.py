from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.checks import run_checks

from apps.speech.model_lifetimes import ANNOUNCED_ENDS

if TYPE_CHECKING:
    from pytest_django import Settings


def test_the_defaults_have_nothing_to_warn_of() -> None:
    assert run_checks() == []


@pytest.mark.parametrize("name", ["OPENAI_STT_MODEL", "OPENAI_CHAT_MODEL", "ELEVENLABS_TTS_MODEL"])
def test_a_model_with_an_announced_end_is_warned_of(settings: Settings, name: str) -> None:
    model, end = next(iter(ANNOUNCED_ENDS.items()))
    setattr(settings, name, model)
    (warning,) = run_checks()
    assert warning.id == "speech.W001"
    for said in (name, model, str(end)):
        assert said in warning.msg
