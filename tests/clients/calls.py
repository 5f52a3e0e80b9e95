"""What the clients in Python share: where the site is, and a line of JSON on the output for each call."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Refusal = TypeVar("Refusal", bound=Exception)

URL = os.environ["SITE_URL"]
BASE_URL = f"{URL}/v1"
TOKEN = os.environ["SITE_TOKEN"]
RECORDING = Path(os.environ["SITE_RECORDING"])
WORDS = os.environ["SITE_WORDS"]
"""What the speech-to-text engine hears in any recording."""
VOICE = os.environ["SITE_VOICE"]
"""The name of the only voice."""

TEXT = "Good morning. It is a fine day today."
STARTS = {"mp3": b"ID3", "opus": b"OggS", "aac": b"ID3", "flac": b"fLaC", "wav": b"RIFF", "pcm": b""}
"""How a file of each format begins."""


@contextmanager
def call(name: str) -> Iterator[None]:
    """Report a call: it failed if the block raises an exception."""
    problem = ""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - any error of a client is a result
        problem = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps({"call": name, "problem": problem}) + "\n")
    sys.stdout.flush()


def error_of(kind: type[Refusal], ask: Callable[[], object]) -> Refusal:
    """Return the error that `ask` raises."""
    try:
        ask()
    except kind as error:
        return error
    raise AssertionError("It was not refused")


def require_sound(data: bytes, audio_format: str) -> None:
    assert len(data) > 1000, f"{len(data)} bytes"
    assert data.startswith(STARTS[audio_format]), data[:8]
