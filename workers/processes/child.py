"""The parent's side of a child process: start it, talk to it, end it.

A child is `python -m MODULE`, and imports that module and nothing else. `multiprocessing` would import the caller's
`__main__` again in every child, with all that it imports: a script without a guard would run twice, one that is read
from standard input could not start a child, and libraries that crash in one process would meet there.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path

from schemas.errors import Transient
from workers.service.blas_threads import ONE_THREAD

READY = b"ready"
"""The first message of a child, once it has imported what it needs."""
INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "HOME", "TMPDIR")
"""Environment variables that a child gets: no secrets."""
PACKAGES = str(Path(__file__).parents[2])
"""Folder of Undertone's packages; the caller's `sys.path` may name it as "" only."""


class Ended(Exception):
    """A child ended. code: its exit status, negative for a signal; late: whether it was ended for taking too long."""

    def __init__(self, code: int, *, late: bool) -> None:
        super().__init__(code)
        self.code, self.late = code, late


class Child:
    """One child process, ready. It ends with this process, however that ends.

    module: its main module, which calls `serve.attached`; wall_s: seconds that a `deadline` allows, None for any.
    NumPy has one thread there: parallel work is that of several children. Raises Transient if it cannot be started.
    """

    def __init__(self, module: str, *, wall_s: float | None = None) -> None:
        self.connection, theirs = Pipe()
        self._wall_s = wall_s
        self._late = threading.Event()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,  # an interrupt at the terminal is for the parent
            )
        except OSError as error:
            self.connection.close()
            raise Transient(f"{module} cannot be started: {type(error).__name__}") from error
        finally:
            theirs.close()
        try:
            with self.deadline():
                self.connection.recv_bytes(len(READY))
        except Ended as ended:
            raise Transient(f"{module} ended at its start: exit status {ended.code}") from None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take a task."""
        return self._process.poll() is None and not self._late.is_set()

    def kill(self) -> None:
        """End it from another thread than the one that talks to it, which raises Ended."""
        self._process.kill()

    def end(self) -> int:
        """End it; its exit status. Idempotent."""
        self._process.kill()
        code = self._process.wait()
        self.connection.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """Talk to the child for at most `wall_s`. Raises Ended when it ends before, or is ended for taking longer."""
        timer = None if self._wall_s is None else threading.Timer(self._wall_s, self._give_up)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            yield
        except (EOFError, OSError):
            raise Ended(self.end(), late=self._late.is_set()) from None
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self) -> None:
        """Whatever waits for it then fails."""
        self._late.set()
        self._process.kill()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | ONE_THREAD | {"PYTHONPATH": os.pathsep.join([PACKAGES, *filter(None, sys.path)])}
