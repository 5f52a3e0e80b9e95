"""Files that survive a power cut: they are on the disk, and not only in memory, before a row names them."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and its missing parents, with their entries on the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode, parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(each.parent)


def flush(path: Path) -> None:
    """Wait until a written file and its entry in its folder are on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Store a file that only its owner can read: all of it or nothing."""
    make_folder(path.parent)
    partial = path.with_suffix(".part")
    with open(partial, "wb", opener=lambda place, flags: os.open(place, flags, 0o600)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders; its file systems write the entries with the file.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
