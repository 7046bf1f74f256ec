"""Liveness and readiness of this process: its parts report their work, the endpoint's own thread reads it.

    part = HEALTH.part("embedding")
    part.begin("a batch")                       # from here on progress is due
    part.progress()                             # within the batch, as often as possible
    part.rest()                                 # idle: healthy for any length of time

A part is stuck when it began work and made no progress for too long, unless a dependency does not answer: a restart
does not help a process that waits for an unavailable broker. All methods are thread-safe and never block.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

STUCK_AFTER_S = 20.0
"""With a probe every few seconds, a stuck process is reported within 30 s."""
BROKER_WITHIN_S = 60.0
"""Timeout of an acknowledgement: clients wait 40 s, and a cluster that lost a broker needs time to elect a leader."""
TURN_S = 1.0
START_WITHIN_S = 600.0
"""Timeout of loading or downloading a model; after it a start counts as stuck."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A part's current work. within_s: timeout until the next progress, None for the default; needs: dependencies."""

    what: str
    within_s: float | None
    needs: tuple[str, ...]


class Part:
    """One monitored activity of a process: a loop, or a stage at its batches."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._work: _Work | None = None
        self._moved_at = clock()

    def begin(self, what: str, *, within_s: float | None = None, needs: tuple[str, ...] = ()) -> None:
        """Start work, which counts as progress; more is due within `within_s`.

        needs: dependencies, by their names in `Health.lacks`.
        """
        self._moved_at = self._clock()
        self._work = _Work(what, within_s, needs)

    def progress(self) -> None:
        """Report progress of the current work."""
        self._moved_at = self._clock()

    def rest(self) -> None:
        """Become idle."""
        self._moved_at = self._clock()
        self._work = None

    @contextmanager
    def instead(self, what: str, *, within_s: float | None = None, needs: tuple[str, ...] = ()) -> Iterator[None]:
        """Replace the current work for the duration of the block; no effect while this part is idle."""
        work = self._work
        if work is None:
            yield
            return
        self.begin(what, within_s=within_s, needs=needs)
        try:
            yield
        finally:
            if self.at_work:
                self._work = work
                self.progress()

    @property
    def at_work(self) -> bool:
        """Whether this part has unfinished work."""
        return self._work is not None

    @property
    def still_s(self) -> float:
        """Seconds since the last start, progress or end of work."""
        return self._clock() - self._moved_at

    def fault(self, stuck_after_s: float, away: Callable[[str], bool]) -> str:
        """Why this part is stuck; empty if it is not. away: whether a dependency is unavailable."""
        work, still_s = self._work, self.still_s
        if work is None or still_s <= (work.within_s or stuck_after_s) or any(map(away, work.needs)):
            return ""
        return f"{self.name}: no progress for {still_s:.0f} s ({work.what})"


class Health:
    """The parts of a process and its missing dependencies. clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.stuck_after_s = STUCK_AFTER_S
        self._clock = clock
        self._parts: dict[str, Part] = {}
        self._passing: set[Part] = set()
        self._lacking: dict[str, str] = {}
        self._ended = ""

    def part(self, name: str) -> Part:
        """The part of this name; idle until it begins work."""
        return self._parts.setdefault(name, Part(name, self._clock))

    @contextmanager
    def during(self, name: str, what: str, *, within_s: float | None = None) -> Iterator[Part]:
        """A part that exists for the duration of the block; many may share a name."""
        part = Part(name, self._clock)
        part.begin(what, within_s=within_s)
        self._passing.add(part)
        try:
            yield part
        finally:
            self._passing.discard(part)

    def lacks(self, what: str, why: str) -> None:
        """Report a dependency as unavailable. why: a few words, no address, no id."""
        self._lacking[what] = why

    def has(self, what: str) -> None:
        """Report a dependency as available."""
        self._lacking.pop(what, None)

    def ends(self, why: str) -> None:
        """Report that the work of this process has ended by a fatal error. why: a few words, no address, no id."""
        self._ended = f"exiting after a fatal error: {why}"
        self.lacks("work", self._ended)

    def faults(self) -> list[str]:
        """Reasons to restart this process; empty when it is alive."""
        return [reason for reason in (self._ended, *self.stuck()) if reason]

    def stuck(self) -> list[str]:
        """Why parts of this process are stuck; empty when none is."""
        parts, away = [*self._parts.values(), *self._passing], self._lacking.__contains__
        reasons = [part.fault(self.stuck_after_s, away) for part in parts]
        return [reason for reason in reasons if reason]

    def lacking(self) -> dict[str, str]:
        """Missing dependencies and why; empty when this process is ready."""
        return dict(self._lacking)


HEALTH = Health()
"""The health of this process."""


async def turn(health: Health = HEALTH) -> NoReturn:
    """Report each iteration of the event loop, until cancelled."""
    loop = health.part("event loop")
    loop.begin("next iteration")
    while True:
        await asyncio.sleep(TURN_S)
        loop.progress()
