"""What the machine offers to a model: the memory that is left, and the processor."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class CgroupFiles(NamedTuple):
    """The names of a version of cgroups: the mounted folder, and the files of a limit, of the use, and their field."""

    folder: str
    limit: str
    usage: str
    reclaimable: str


CGROUPS_1 = CgroupFiles("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
CGROUPS_2 = CgroupFiles("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int | None:
    """Return how many bytes this process can still use, or None if the system does not tell.

    The limits of containers count. `root` is where the folders /proc and /sys are.
    """
    known = [*_of_system(root), *_of_cgroups(root)]
    return max(0, min(known)) if known else None


def processor() -> str:
    """Return the name of the processor and the number of its cores that this process may use."""
    names = _fields(Path("/proc/cpuinfo"), ":").get("model name") or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{names} × {cores}"


def _of_system(root: Path) -> Iterator[int]:
    available = _fields(root / "proc/meminfo", ":").get("MemAvailable")
    if available:
        yield int(available.split()[0]) * 1024
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):  # macOS tells only how much memory there is at all.
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_cgroups(root: Path) -> Iterator[int]:
    """Yield what the limit of each group leaves, from the group of this process up to the outermost one."""
    for files, path in _own_cgroups(root):
        group = Path(path.lstrip("/"))
        for each in (group, *group.parents):
            left = _left_in(root / files.folder / each, files)
            if left is not None:
                yield left


def _own_cgroups(root: Path) -> Iterator[tuple[CgroupFiles, str]]:
    """Yield the groups of this process that can limit memory. Each line is "number:controllers:path"."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield CGROUPS_1, path
        elif not controllers:
            yield CGROUPS_2, path


def _left_in(folder: Path, files: CgroupFiles) -> int | None:
    limit, usage = _text(folder / files.limit).strip(), _text(folder / files.usage).strip()
    if not limit.isdecimal() or not usage.isdecimal():  # The limit may be "max".
        return None
    # The use contains files that were read. The system forgets them where a program needs memory.
    reclaimable = _fields(folder / "memory.stat", " ").get(files.reclaimable, "0")
    return int(limit) - int(usage) + int(reclaimable)


def _fields(path: Path, separator: str) -> dict[str, str]:
    """Return the fields of a file with a name and a value in each line. Of equal names, the last one counts."""
    pairs = (line.split(separator, 1) for line in _text(path).splitlines() if separator in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
