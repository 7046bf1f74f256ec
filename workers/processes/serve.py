"""The child's side: `python -m MODULE DESCRIPTOR`, as `Child` starts it."""

import os
import sys
import threading
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection

PARENT = 0
"""Standard input, whose other end only the parent holds."""


def attached() -> Connection:
    """The connection to the parent. From here on this process ends when the parent does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return Connection(int(sys.argv[1]))


def until_the_parent_ends() -> AbstractContextManager[None]:
    """A context in which a connection that the parent has closed, by ending or on purpose, is no error but the end."""
    return suppress(EOFError, BrokenPipeError, ConnectionResetError)


def _end_with_parent() -> None:
    os.read(PARENT, 1)  # Returns when the parent has ended: nobody writes.
    os._exit(1)
