"""Whether this process is alive and ready: its parts say what they do, the port's own thread asks.

    part = HEALTH.part("embedding")
    part.begin("a batch")                       # from here on progress is due
    part.progress()                             # within the batch, as often as there is some
    part.rest()                                 # nothing to do: fine for as long as it lasts

A part is stuck when it has begun something and made no progress for too long, unless something that it needs does not
answer: to wait for a broker that is away is no fault of this process, and starting it again would not help.
All methods are safe from any thread and never wait.
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
"""For an acknowledgement: clients wait 40 s, and a cluster that lost a broker needs a while to choose another."""
TURN_S = 1.0
START_WITHIN_S = 600.0
"""For loading or fetching a model; beyond it a start counts as stuck."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What a part does. within_s: until the next progress is due, None for as the process is set; needs: what else."""

    what: str
    within_s: float | None
    needs: tuple[str, ...]


class Part:
    """One thing of a process that must go on: a loop, or a stage at its batches."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._work: _Work | None = None
        self._moved_at = clock()

    def begin(self, what: str, *, within_s: float | None = None, needs: tuple[str, ...] = ()) -> None:
        """Something is begun, which counts as progress; more is due within `within_s`.

        needs: what it cannot go on without, by the names that `Health.lacks` is told.
        """
        self._moved_at = self._clock()
        self._work = _Work(what, within_s, needs)

    def progress(self) -> None:
        """What was begun goes on."""
        self._moved_at = self._clock()

    def rest(self) -> None:
        """Nothing is to be done."""
        self._moved_at = self._clock()
        self._work = None

    @contextmanager
    def instead(self, what: str, *, within_s: float | None = None, needs: tuple[str, ...] = ()) -> Iterator[None]:
        """Within what was begun, something else for as long as the block; nothing when this part rests."""
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
        """Whether something was begun and is not finished."""
        return self._work is not None

    @property
    def still_s(self) -> float:
        """Seconds since something was begun, went on or was finished."""
        return self._clock() - self._moved_at

    def fault(self, stuck_after_s: float, away: Callable[[str], bool]) -> str:
        """Why this part is stuck; empty when it is not. away: whether something it needs does not answer."""
        work, still_s = self._work, self.still_s
        if work is None or still_s <= (work.within_s or stuck_after_s) or any(map(away, work.needs)):
            return ""
        return f"{self.name}: no progress for {still_s:.0f} s with {work.what}"


class Health:
    """The parts of a process, and what it must have before it can work. clock: seconds, never backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.stuck_after_s = STUCK_AFTER_S
        self._clock = clock
        self._parts: dict[str, Part] = {}
        self._passing: set[Part] = set()
        self._lacking: dict[str, str] = {}

    def part(self, name: str) -> Part:
        """The part of this name; it rests until it begins something."""
        return self._parts.setdefault(name, Part(name, self._clock))

    @contextmanager
    def during(self, name: str, what: str, *, within_s: float | None = None) -> Iterator[Part]:
        """A part that lives as long as the block; many may have one name."""
        part = Part(name, self._clock)
        part.begin(what, within_s=within_s)
        self._passing.add(part)
        try:
            yield part
        finally:
            self._passing.discard(part)

    def lacks(self, what: str, why: str) -> None:
        """Something that this process cannot work without is not there. why: a few words, no address, no id."""
        self._lacking[what] = why

    def has(self, what: str) -> None:
        """It is there now."""
        self._lacking.pop(what, None)

    def faults(self) -> list[str]:
        """Why this process should be started again; empty when it is alive."""
        parts, away = [*self._parts.values(), *self._passing], self._lacking.__contains__
        reasons = [part.fault(self.stuck_after_s, away) for part in parts]
        return [reason for reason in reasons if reason]

    def lacking(self) -> dict[str, str]:
        """What this process waits for, and why; empty when it is ready."""
        return dict(self._lacking)


HEALTH = Health()
"""Of this process."""


async def turn(health: Health = HEALTH) -> NoReturn:
    """Tell that the event loop turns, until cancelled."""
    loop = health.part("event loop")
    loop.begin("its next turn")
    while True:
        await asyncio.sleep(TURN_S)
        loop.progress()
