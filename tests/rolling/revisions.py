"""The code of earlier releases, from the history of this repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path


def newest_tag() -> str:
    """Return the newest tag before the current commit, or "" if there is none, or no history."""
    return _git("describe", "--tags", "--abbrev=0", check=False).decode().strip()


def checked_out(revision: str, folder: Path) -> Path:
    """Write the files of `revision` to `folder`, and return that."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", revision))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*arguments: str, check: bool = True) -> bytes:
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=Path(__file__).parent.parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=check,
    )
    return done.stdout
