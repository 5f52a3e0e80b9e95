"""How the process asks for memory: large blocks on their own, so that they go back when they are free."""

from __future__ import annotations

import ctypes

# The numbers of glibc's <malloc.h>.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE_BYTES = 256 * 1024
_ARENAS = 2


def keep_heap_small() -> bool:
    """Have glibc map large blocks one by one and share few heaps among all threads; tell whether it does.

    An answer's sound is a megabyte or two, made in one thread and freed in another. Left alone, glibc comes to keep
    such blocks in heaps of which each thread has one: after some hundred turns they took 140 MB more. Other C
    libraries know no such setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library without a name.
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_ARENA_MAX, _ARENAS))
