from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from apps.speech.local import progress
from apps.speech.local.progress import FILE_NAME, STALE_SECONDS, Progress, ProgressWriter


def state(done: int = 43, *, seconds_left: int | None = None) -> Progress:
    return Progress(done, 100, time.time(), os.getpid(), ("a",), seconds_left)


@pytest.mark.parametrize(
    ("seconds_left", "text"),
    [
        (None, "43\u00a0%"),
        (10, "43\u00a0%, less than a minute"),
        (60, "43\u00a0%, about a minute"),
        (89, "43\u00a0%, about a minute"),
        (600, "43\u00a0%, about 10 minutes"),
    ],
)
def test_it_is_told_in_words(seconds_left: int | None, text: str) -> None:
    assert state(seconds_left=seconds_left).text == text


def test_it_reaches_100_percent_only_when_it_is_over() -> None:
    assert state(100).percent == 99
    assert Progress(0, 0, 0, 1, ()).percent == 0


@pytest.mark.parametrize(("seconds_left", "retry_after"), [(None, 15), (1, 5), (60, 60), (4000, 300)])
def test_another_try_makes_sense_when_it_is_over(seconds_left: int | None, retry_after: int) -> None:
    assert state(seconds_left=seconds_left).retry_after == retry_after


def test_an_announcement_is_read_until_it_is_stale(tmp_path: Path) -> None:
    assert progress.read(tmp_path) is None
    progress.announce(tmp_path / "models", total=100, missing=["a", "b"])
    read = progress.read(tmp_path / "models")
    assert read is not None
    assert (read.percent, read.total, read.missing, read.pid) == (0, 100, ("a", "b"), os.getpid())
    past = time.time() - STALE_SECONDS - 1
    os.utime(tmp_path / "models" / FILE_NAME, (past, past))
    assert progress.read(tmp_path / "models") is None


@pytest.mark.parametrize("content", ["", "[]", "{}", "no json", '{"done": 1}', '{"unknown": 1}'])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    assert progress.read(tmp_path) is None


def test_the_writer_writes_while_it_lasts(tmp_path: Path) -> None:
    sizes = iter(range(0, 1000, 10))
    with ProgressWriter(tmp_path, lambda: (next(sizes), ["a"]), total=100, report=print, errors=(ValueError,)):
        first = progress.read(tmp_path)
        deadline = time.monotonic() + 30
        while progress.read(tmp_path) == first:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert not list(tmp_path.iterdir())


def test_the_progress_never_goes_back(tmp_path: Path) -> None:
    sizes = iter([50, 20])
    writer = ProgressWriter(tmp_path, lambda: (next(sizes), ["a"]), total=100, report=print, errors=(ValueError,))
    with pytest.raises(ValueError, match="broken"), writer:
        raise ValueError("broken")
    assert json.loads((tmp_path / FILE_NAME).read_text())["done"] == 50


def test_after_an_error_nobody_fetches_any_more(tmp_path: Path) -> None:
    writer = ProgressWriter(tmp_path, lambda: (1, ["a"]), total=2, report=print, errors=(ValueError,))
    with pytest.raises(ValueError, match="no network"), writer:
        raise ValueError("no network")
    assert progress.read(tmp_path) is None
    assert json.loads((tmp_path / FILE_NAME).read_text())["error"] == "no network"
