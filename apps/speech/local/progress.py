"""The progress of fetching model files, which the fetching process shares with the web server through a small file.

The process that fetches writes the file anew every second, atomically. The others read it when its time changes. A file
that nobody has written for a while is of a process that was killed.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

FILE_NAME = ".fetching.json"
WRITE_SECONDS = 1
REPORT_SECONDS = 5
# Longer than a process takes to start on a slow machine, since the process that starts it announces it.
STALE_SECONDS = 20
# The speed of the last half minute decides how long the rest takes.
SPEED_SECONDS = 30
DEFAULT_RETRY_SECONDS = 15
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fetching is. `done` and `total` are bytes, `started` is a Unix time, `missing` are paths of files.

    `seconds_left` is None while the speed is not known. `error` says why the fetching has ended without all files.
    """

    done: int
    total: int
    started: float
    pid: int
    missing: tuple[str, ...]
    seconds_left: int | None = None
    error: str = ""

    @property
    def percent(self) -> int:
        """0 to 99: the last file still has to be checked and loaded."""
        return min(99, 100 * self.done // max(1, self.total))

    @property
    def retry_after(self) -> int:
        """Seconds after which another try makes sense."""
        return DEFAULT_RETRY_SECONDS if self.seconds_left is None else min(max(self.seconds_left, 5), 300)

    @property
    def text(self) -> str:
        """The progress for people, without the name of what is being fetched."""
        percent = _("%(percent)d\u00a0%%") % {"percent": self.percent}  # No line break before the sign.
        if self.seconds_left is None:
            return percent
        minutes = round(self.seconds_left / MINUTE)
        if not minutes:
            rest = _("less than a minute")
        elif minutes == 1:
            rest = _("about a minute")
        else:
            rest = ngettext("about %(minutes)d minute", "about %(minutes)d minutes", minutes) % {"minutes": minutes}
        return f"{percent}, {rest}"


def read(models_dir: Path) -> Progress | None:
    """Return the progress of the process that fetches models to `models_dir` now, or None if there is none."""
    path = models_dir / FILE_NAME
    try:
        status = path.stat()
    except OSError:
        return None
    if time.time() - status.st_mtime > STALE_SECONDS:
        return None
    key = (path, status.st_mtime_ns, status.st_ino)
    if _last_read.get("key") != key:
        _last_read.update(key=key, progress=_parse(path))
    progress: Progress | None = _last_read["progress"]
    return progress if progress and not progress.error else None


_last_read: dict[str, Any] = {}


def _parse(path: Path) -> Progress | None:
    with suppress(OSError, ValueError, TypeError):
        fields = json.loads(path.read_text())
        return Progress(**{**fields, "missing": tuple(fields.get("missing", ()))})
    return None


def announce(models_dir: Path, *, total: int, missing: Collection[str]) -> None:
    """Say that a process that is being started will fetch the files `missing`, `total` bytes. Raises OSError."""
    models_dir.mkdir(parents=True, exist_ok=True)
    _write(models_dir, Progress(0, total, time.time(), os.getpid(), tuple(missing)))


def withdraw(models_dir: Path) -> None:
    """Remove the file: nobody fetches any more."""
    with suppress(OSError):
        (models_dir / FILE_NAME).unlink()


def _write(models_dir: Path, progress: Progress) -> None:
    partial = models_dir / f"{FILE_NAME}.{os.getpid()}"
    partial.write_text(json.dumps(asdict(progress)))
    partial.replace(models_dir / FILE_NAME)


class ProgressWriter:
    """Writes the progress every second, in a thread, from the start of the block to its end.

    `measure` returns the bytes that are there and the paths of the files that are not. `report` gets a line every few
    seconds. The file stays with the error if the block raises one of `errors`, and else is removed.
    """

    def __init__(
        self,
        models_dir: Path,
        measure: Callable[[], tuple[int, Collection[str]]],
        *,
        total: int,
        report: Callable[[str], None],
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._models_dir = models_dir
        self._measure = measure
        self._total = total
        self._report = report
        self._errors = errors
        self._started = time.time()
        self._measured: deque[tuple[float, int]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        _write(self._models_dir, self._progress())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if isinstance(error, self._errors):
            with suppress(OSError):
                _write(self._models_dir, self._progress(str(error)))
        else:
            withdraw(self._models_dir)

    def _run(self) -> None:
        reported = time.monotonic()
        while not self._ended.wait(WRITE_SECONDS):
            progress = self._progress()
            with suppress(OSError):  # A full disk is reported by the download itself.
                _write(self._models_dir, progress)
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                self._report(f"  {progress.text}")

    def _progress(self, error: str = "") -> Progress:
        now = time.monotonic()
        done, missing = self._measure()
        if self._measured:  # A package that is unpacked must not make the progress go back.
            done = max(done, self._measured[-1][1])
        done = min(done, self._total)
        self._measured.append((now, done))
        while now - self._measured[0][0] > SPEED_SECONDS:
            self._measured.popleft()
        left = self._seconds_left()
        return Progress(done, self._total, self._started, os.getpid(), tuple(missing), left, error)

    def _seconds_left(self) -> int | None:
        (since, before), (now, done) = self._measured[0], self._measured[-1]
        if done == before or now - since < REPORT_SECONDS:
            return None
        return round((self._total - done) * (now - since) / (done - before))
