"""Memory allocation settings, which return large free blocks to the system."""

from __future__ import annotations

import ctypes

# Constants from glibc's <malloc.h>.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE_BYTES = 256 * 1024
_ARENAS = 2


def keep_heap_small() -> bool:
    """Make glibc map large blocks separately and limit its number of heaps. Return whether it accepted this.

    The audio of an answer is one or two megabytes, allocated in one thread and freed in another. By default, glibc
    keeps such blocks in a heap per thread: after some hundred turns they took 140 MB more. Other C libraries have no
    such settings.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows needs the name of a library.
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_ARENA_MAX, _ARENAS))
