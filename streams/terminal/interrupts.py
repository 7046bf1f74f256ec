"""Ctrl-C ends a command at once, without a traceback, whatever it is doing.

The usual KeyboardInterrupt is raised between two instructions of Python. A command that imports TensorFlow, waits for
a library or runs an event loop may meet it late, in a place that swallows it or prints it. Undertone has nothing to
unwind: its effects are idempotent and its child processes end with it, so a command may end as if killed. A role and
the systems of a laptop, which finish what they began, handle SIGINT themselves; from then on this module is out of it.
"""

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from schemas.errors import ExitCode

SHOW_CURSOR = b"\x1b[?25h"
"""Progress hides the cursor of the terminal."""
STDERR = 2
LEAKED = "ignore::UserWarning:multiprocessing.resource_tracker"
"""Semaphores of a pool whose parent ended: their tracker removes them, and would say so after the prompt is back."""


def end_on_interrupt() -> None:
    """From now on, end this process with ExitCode.INTERRUPTED on SIGINT; main thread only.

    The signal is also noticed while the main thread is inside a library that does not return to Python. A SIGINT that
    the parent process ignores, as a shell does for a job in the background, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), LEAKED)))
    notice, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, _interrupted)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(notice,), name="interrupts", daemon=True).start()


def _watch(notice: int) -> None:
    """End the process at a SIGINT that is still this module's; every byte of the pipe is the number of a signal."""
    while signals := os.read(notice, 64):
        if signal.SIGINT in signals and signal.getsignal(signal.SIGINT) is _interrupted:
            _leave()


def _interrupted(signum: int, frame: FrameType | None) -> None:
    _leave()


def _leave() -> NoReturn:
    if sys.stderr.isatty():
        with suppress(OSError):
            os.write(STDERR, SHOW_CURSOR)
    os._exit(ExitCode.INTERRUPTED)
