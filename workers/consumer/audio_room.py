"""Room for decoded audio: a memo waits for its share before it is decoded, so that memory has a bound.

Shares are granted in the order of asking. A memo that is larger than all of the room is granted when nothing else is
held, so that it proceeds alone. Loader threads wait; a thread that works or waits holds no other thread's share.
"""

import threading
from collections import deque
from collections.abc import Callable


class Abandoned(Exception):
    """The memo is not wanted any more: its partition was revoked, or the worker stops."""


class AudioRoom:
    """Seconds of decoded audio that all memos of a worker hold together; thread-safe.

    limit_s: most seconds, but for one larger memo alone; observe: called with the seconds held after each change.
    """

    def __init__(self, limit_s: float, observe: Callable[[float], object]) -> None:
        self._limit_s, self._observe = limit_s, observe
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._held_s = 0.0

    @property
    def is_full(self) -> bool:
        """Whether no share is left."""
        return self._held_s >= self._limit_s

    def share(self) -> "Share":
        """A share that holds nothing yet."""
        return Share(self)

    def _wait(self, seconds: float, is_wanted: Callable[[], bool]) -> None:
        """Take `seconds` when it is this caller's turn and they fit. Raises Abandoned when they are not wanted."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: not is_wanted() or self._fits(ticket, seconds))
                if not is_wanted():
                    raise Abandoned
                self._add(seconds)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _fits(self, ticket: object, seconds: float) -> bool:
        first = self._waiting[0] is ticket
        return first and (self._held_s + seconds <= self._limit_s or self._held_s <= 0.0)

    def _add(self, seconds: float) -> None:
        # Sums of floats: what was added and taken away again leaves a rest.
        self._held_s = max(self._held_s + seconds, 0.0) if abs(self._held_s + seconds) > 1e-6 else 0.0
        self._observe(self._held_s)
        self._changed.notify_all()


class Share:
    """The seconds that one memo holds."""

    def __init__(self, room: AudioRoom) -> None:
        self._room = room
        self._seconds = 0.0
        self._closed = False

    def reserve(self, seconds: float) -> None:
        """Wait until the room has `seconds` for this memo, in place of what it holds, which is given back first.

        So two memos that both turn out longer do not wait for each other. Raises Abandoned once closed.
        """
        with self._room._changed:
            self._set(0.0)
            self._room._wait(seconds, lambda: not self._closed)
            self._seconds = seconds

    def settle(self, seconds: float) -> None:
        """Hold exactly what the memo turned out to be, without waiting."""
        self._set(seconds)

    def close(self) -> None:
        """Give everything back, and let nothing be reserved again; idempotent."""
        with self._room._changed:
            self._closed = True
            self._give_back()
            self._room._changed.notify_all()

    def _set(self, seconds: float) -> None:
        with self._room._changed:
            if not self._closed:
                self._room._add(seconds - self._seconds)
                self._seconds = seconds

    def _give_back(self) -> None:
        self._room._add(-self._seconds)
        self._seconds = 0.0
