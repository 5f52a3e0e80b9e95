"""The code of earlier releases, from the history of this repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

MIGRATIONS = "apps/*/migrations/*"


def newest_tag() -> str:
    """Return the newest tag before the current commit, or "" if there is none, or no history."""
    return _git("describe", "--tags", "--abbrev=0", check=False).decode().strip()


def first_commit_with_these_migrations() -> str:
    """Return the commit that changed the migrations last, or "" without a history, or if they have changed since.

    Before the first release that is allowed: a migration is edited, and older code need not work on its tables.
    """
    commit = _git("log", "-1", "--format=%H", "--", MIGRATIONS, check=False).decode().strip()
    return commit if commit and not _git("diff", "--name-only", commit, "--", MIGRATIONS) else ""


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
