"""glibc's heap, told to keep what a batch gave back for the next one, and to return what a compiler left.

By default a block of more than 32 MB is asked of the system and returned to it every time, and its pages come back as
zeros, one fault each: a good part of what an encoder of base size takes.
"""

import ctypes
from collections.abc import Callable

KEPT_BYTES = 1 << 30
"""Free memory at the heap's end beyond this still goes back to the system."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep() -> bool:
    """Whether this process's heap does so from now on; False where the C library is not glibc."""
    mallopt = _function("mallopt")
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))


def give_back() -> None:
    """Return every free page to the system, once; the next batch takes anew what it needs."""
    if malloc_trim := _function("malloc_trim"):
        malloc_trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """One of glibc's; None where the C library is another."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
    return found
