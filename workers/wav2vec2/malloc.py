"""Tune glibc's malloc: keep a batch's freed memory for the next one, and return the compiler's to the system.

By default a block of more than 32 MB is allocated from the system and returned every time, with one page fault for
each zeroed page: a large share of a base encoder's run time.
"""

import ctypes
from collections.abc import Callable

KEPT_BYTES = 1 << 30
"""Free memory at the heap's end beyond this still returns to the system."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep() -> bool:
    """Keep freed memory in this process from now on; returns False if the C library is not glibc."""
    mallopt = _function("mallopt")
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))


def give_back() -> None:
    """Return every free page to the system, once; the next batch allocates again."""
    if malloc_trim := _function("malloc_trim"):
        malloc_trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """A glibc function; None if the C library is another."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
    return found
