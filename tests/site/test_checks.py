from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.checks import run_checks

from apps.speech.checks import check_marks
from apps.speech.provenance.certificates import make_identity
from apps.speech.providers.model_lifetimes import ANNOUNCED_ENDS

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings


def test_the_defaults_cause_no_warning() -> None:
    assert run_checks() == []


@pytest.mark.parametrize("name", ["STT_MODEL", "LIVE_STT_MODEL", "CHAT_MODEL"])
def test_a_model_with_an_announced_end_causes_a_warning(settings: Settings, name: str) -> None:
    model, end = next(iter(ANNOUNCED_ENDS.items()))
    setattr(settings, name, model)
    (warning,) = run_checks()
    assert warning.id == "speech.W001"
    for text in (name, model, str(end)):
        assert text in warning.msg


def test_another_server_may_keep_a_model_that_openai_shuts_down(settings: Settings) -> None:
    settings.STT_MODEL, settings.STT_BASE_URL = "whisper-1", "http://127.0.0.1:8000/v1"
    assert run_checks() == []


class TestMarks:
    def test_a_folder_that_can_be_created_is_valid(self, settings: Settings, tmp_path: Path) -> None:
        settings.MARKS_DIR = tmp_path / "var" / "marks"
        assert not check_marks(None)
        assert not settings.MARKS_DIR.exists()

    def test_a_folder_that_cannot_be_written_is_an_error(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        settings.MARKS_DIR = tmp_path / "file" / "marks"
        (error,) = check_marks(None)
        assert error.id == "speech.E001"
        assert "cannot be written" in error.msg
        assert "MARKS_DIR" in str(error.hint)

    def test_a_certificate_of_the_operator_must_match_its_key(self, settings: Settings, tmp_path: Path) -> None:
        own, other = make_identity(), make_identity()
        (tmp_path / "chain").write_bytes(own.chain)
        (tmp_path / "key").write_bytes(own.key)
        settings.MARKS_CERTIFICATE, settings.MARKS_KEY = str(tmp_path / "chain"), str(tmp_path / "key")
        assert not check_marks(None)
        (tmp_path / "key").write_bytes(other.key)
        (error,) = check_marks(None)
        assert "must belong to the key" in error.msg

    def test_an_invalid_former_certificate_is_an_error(self, settings: Settings, tmp_path: Path) -> None:
        settings.MARKS_DIR = tmp_path
        (tmp_path / "former.pem").write_bytes(make_identity().chain.replace(b"MII", b"###"))
        (error,) = check_marks(None)
        assert "must be in PEM" in error.msg
