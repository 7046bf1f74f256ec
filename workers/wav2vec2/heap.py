"""glibc's heap, told to keep what a batch gave back for the next one.

By default a block of more than 32 MB is asked of the system and returned to it every time, and its pages come back as
zeros, one fault each: a good part of what an encoder of base size takes.
"""

import ctypes

KEPT_BYTES = 1 << 30
"""Free memory at the heap's end beyond this still goes back to the system."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep() -> bool:
    """Whether this process's heap does so from now on; False where the C library is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
