"""The Python examples in `docs/api.md` work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

from apps.conversations.models import Turn
from apps.speech.audio.decoding import decode
from apps.speech.audio.resampling import join
from tests.audio_samples import clip, to_wav
from tests.client import QUESTION
from tests.fakes.elevenlabs import VOICES_ADD

if TYPE_CHECKING:
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECONDS = 60


@pytest.mark.usefixtures("consent")
def test_every_example_runs(server: Server, alice_token: str, provider: FakeProvider, tmp_path: Path) -> None:
    script = "\n".join(PYTHON.findall((settings.BASE_DIR / "docs" / "api.md").read_text()))
    (tmp_path / "recording.mp3").write_bytes(to_wav(join([clip("austen-0870.wav"), clip("austen-0920.wav")])))
    (tmp_path / "question.mp3").write_bytes(QUESTION)
    done = subprocess.run(  # noqa: S603 - all arguments are our own
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"URL": server.url, "TOKEN": alice_token},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().count(provider.behaviour.transcript) == 3
    assert provider.behaviour.reply in done.stdout.decode()
    for name in ("answer.mp3", "morning.wav", "morning.mp3"):
        assert decode((tmp_path / name).read_bytes(), sample_rate=24_000, max_seconds=60).seconds > 0.5
    assert len(provider.requests_to(VOICES_ADD)) == 1
    assert Turn.objects.count() == 3
