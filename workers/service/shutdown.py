"""Ends this process at a deadline, whatever hangs while it shuts down.

A cancellation may be swallowed below `asyncio.wait_for`, a client may wait for a broker that is gone, a thread may
never return: then the process would live on without reading anything, and look healthy.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from schemas.errors import Stop
from workers.service.health import HEALTH, Health
from workers.service.purpose import note_end

log = logging.getLogger(__name__)


class Shutdown:
    """One shutdown of a process. Until `arm` it has no effect: tests run roles in their own process."""

    def __init__(self, health: Health = HEALTH, leave: Callable[[int], object] = os._exit) -> None:
        self._health, self._leave = health, leave
        self._within_s: float | None = None
        self._timer: threading.Timer | None = None

    def arm(self, within_s: float) -> None:
        """From now on, end this process `within_s` seconds after a shutdown begins."""
        self._within_s = within_s

    def begin(self, error: BaseException | None = None) -> None:
        """Begin to shut down, because of a fatal error or on request; the first call sets the deadline.

        After an error this process is unhealthy: it reads no more.
        """
        if self._within_s is None:
            return
        if error is not None:
            self._health.ends(type(error).__name__)
        if self._timer is None:
            self._timer = threading.Timer(self._within_s, self._end, [self._within_s, error])
            self._timer.daemon = True
            self._timer.start()

    @contextmanager
    def on_failure(self) -> Iterator[None]:
        """Begin to shut down when the block raises, before anything around it is closed."""
        try:
            yield
        except Exception as error:
            self.begin(error)
            raise

    def note(self) -> None:
        """Note that this process ends on purpose, unless a part of it is stuck: a record may be the cause of that."""
        if self._within_s is not None and not self._health.stuck():
            note_end()

    def _end(self, within_s: float, error: BaseException | None) -> None:
        cause = "requested" if error is None else str(error) if isinstance(error, Stop) else type(error).__name__
        log.critical("shutdown not finished after %g s, exiting; cause: %s", within_s, cause)
        sys.stderr.flush()
        self.note()
        self._leave(error.exit_code if isinstance(error, Stop) else 1)


SHUTDOWN = Shutdown()
"""The shutdown of this process."""
