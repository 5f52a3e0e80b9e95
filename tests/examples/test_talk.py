"""Runs `examples/talk.py` as a program."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

from apps.conversations.models import Conversation, Turn
from apps.speech.audio.decoding import decode
from tests.client import LONG_REPLY, NOWHERE, QUESTION

if TYPE_CHECKING:
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

EXAMPLE = settings.BASE_DIR / "examples" / "talk.py"
SECONDS = 30


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.wav"
    path.write_bytes(QUESTION)
    return path


def command(url: str, token: str, *arguments: object) -> list[str]:
    return [sys.executable, str(EXAMPLE), "--url", url, "--token", token, *map(str, arguments)]


def talk(url: str, token: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[bytes]:
    line = command(url, token, *arguments)
    return subprocess.run(line, cwd=folder, capture_output=True, timeout=SECONDS, check=False)  # noqa: S603 - our own


def test_it_saves_the_answer_and_prints_the_texts(
    server: Server, alice_token: str, provider: FakeProvider, voice: VoiceProfile, question: Path
) -> None:
    provider.behaviour.reply = "À bientôt, says the capital of France."
    done = talk(server.url, alice_token, question, folder=question.parent)
    assert done.returncode == 0, done.stderr.decode()
    output = done.stderr.decode()
    assert provider.behaviour.transcript in output
    assert provider.behaviour.reply in output
    assert f"--conversation {Conversation.objects.get().pk}" in output
    answer = (question.parent / "answer.mp3").read_bytes()
    assert decode(answer, sample_rate=24_000, max_seconds=60).seconds > 1
    assert sorted(path.name for path in question.parent.iterdir()) == ["answer.mp3", "question.wav"]


def test_the_answer_can_be_played_while_it_arrives(
    server: Server, alice_token: str, provider: FakeProvider, voice: VoiceProfile, question: Path
) -> None:
    provider.behaviour.reply, provider.behaviour.audio_speed = LONG_REPLY, 4
    line = command(server.url, alice_token, question, "--answer", "-")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        first = process.stdout.read(4096)
        began = time.monotonic()
        mp3 = first + process.stdout.read()
        assert time.monotonic() - began > 0.5
        assert process.wait(SECONDS) == 0
    assert decode(mp3, sample_rate=24_000, max_seconds=60).seconds > 10


def test_a_conversation_can_be_continued(
    server: Server, alice_token: str, conversation: Conversation, voice: VoiceProfile, question: Path
) -> None:
    arguments = ["--conversation", conversation.pk, "--voice", voice.name]
    done = talk(server.url, alice_token, question, *arguments, folder=question.parent)
    assert done.returncode == 0, done.stderr.decode()
    assert Turn.objects.get().conversation == conversation


@pytest.mark.parametrize("token", ["vc_wrong", ""])
def test_a_missing_or_wrong_token_is_reported(server: Server, question: Path, token: str) -> None:
    done = talk(server.url, token, question, folder=question.parent)
    assert done.returncode != 0
    assert b"token" in done.stderr
    assert not (question.parent / "answer.mp3").exists()


def test_an_unknown_voice_is_reported(server: Server, alice_token: str, voice: VoiceProfile, question: Path) -> None:
    done = talk(server.url, alice_token, question, "--voice", "Nobody", folder=question.parent)
    assert done.returncode != 0
    assert "Nobody" in done.stderr.decode()


def test_the_address_may_end_in_a_slash(server: Server, alice_token: str, voice: VoiceProfile, question: Path) -> None:
    done = talk(f"{server.url}/", alice_token, question, folder=question.parent)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("status", [200, 502])
def test_a_page_of_a_proxy_is_reported(question: Path, status: int) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)  # With a page in HTML.

    with HTTPServer(("127.0.0.1", 0), Page) as proxy:
        thread = threading.Thread(target=proxy.handle_request)
        thread.start()
        done = talk(f"http://127.0.0.1:{proxy.server_port}", "vc_token", question, folder=question.parent)
        thread.join()
    (line,) = done.stderr.decode().splitlines()
    assert f"answered {status}" in line
    assert "text/html" in line
    assert "Is the address right" in line
    assert done.returncode == 1


@pytest.mark.parametrize("url", [NOWHERE, "127.0.0.1:9"])
def test_a_server_that_is_not_there_is_reported(question: Path, url: str) -> None:
    done = talk(url, "vc_token", question, folder=question.parent)
    (line,) = done.stderr.decode().splitlines()
    assert f"The connection to {url} failed" in line
    assert done.returncode == 1
