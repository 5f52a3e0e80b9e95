"""The embedded Whisper tells OpenAI's clients when segments and words are said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from openai import OpenAI

from tests.audio_samples import TRANSCRIPTS, clip, to_wav
from tests.conftest import serve
from tests.speech.local.wording import plain_words

if TYPE_CHECKING:
    from pytest_django import Settings

NAME = "austen-0930.wav"
SECONDS = clip(NAME).seconds


@pytest.fixture
def engine(settings: Settings, models_dir: Path) -> None:
    settings.SPEECH_TO_TEXT, settings.MODELS_DIR = "local", models_dir


def test_segments_and_words_have_times(transactional_db: None, engine: None, alice_token: str) -> None:
    with serve() as server, OpenAI(base_url=f"{server.url}/v1", api_key=alice_token, max_retries=0) as client:
        heard = client.audio.transcriptions.create(
            model="whisper-1",
            file=(NAME, to_wav(clip(NAME))),
            language="English",
            response_format="verbose_json",
            timestamp_granularities=["segment", "word"],
        )
        subtitles = client.audio.transcriptions.create(
            model="whisper-1", file=(NAME, to_wav(clip(NAME))), response_format="vtt"
        )
    assert plain_words(heard.text) == plain_words(TRANSCRIPTS[NAME])
    assert heard.language == "english"
    assert all(segment.tokens and segment.avg_logprob < 0 for segment in heard.segments or [])
    words = heard.words or []
    assert plain_words(" ".join(word.word for word in words)) == plain_words(heard.text)
    assert 0 <= words[0].start < words[-1].end <= SECONDS + 0.5
    assert subtitles.startswith("WEBVTT\n\n00:00:0")
