"""Confines a process that reads files of strangers with native code, so that a flaw in that code gains nothing."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
import tempfile
from pathlib import Path

# System calls of Linux's landlock(7). They have the same numbers on every architecture.
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
PR_SET_NO_NEW_PRIVS = 38
# The access rights that each version can forbid: files; TCP; abstract sockets and signals of other processes.
LANDLOCK_VERSIONS = {
    1: (0x1FFF, 0, 0),
    2: (0x3FFF, 0, 0),
    3: (0x7FFF, 0, 0),
    4: (0x7FFF, 3, 0),
    5: (0xFFFF, 3, 0),
    6: (0xFFFF, 3, 3),
}


def confine(memory_bytes: int) -> None:
    """Permanently leave this process nothing but its memory, its processor time and the files that are open already.

    Call it before the first byte of a stranger's file is read, and after everything is imported.
    """
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()  # A deleted working directory is empty and stays empty.
    if sys.platform == "linux":  # Other systems do not enforce this limit or do not have it.
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    _apply_landlock()
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))


def _apply_landlock() -> None:
    """If the kernel has Landlock, forbid opening files, TCP, and signalling or tracing other processes."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return
    rules = struct.pack("<QQQ", *LANDLOCK_VERSIONS[min(version, max(LANDLOCK_VERSIONS))])
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, rules, len(rules), 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if ruleset < 0 or libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError("Landlock is available but cannot be used.")
    os.close(ruleset)
