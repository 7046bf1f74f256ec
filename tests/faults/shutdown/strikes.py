"""What ends a process: a table of strikes, and how long each took to be over."""

import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import kill
from random import Random

from schemas.errors import BrokerRefused, DeadLetterCapReached, StoreRefused
from tests.faults.shutdown.stand import DEADLINE_S, READS, Process, Stand

GRACE_S = 2.0
"""Past its deadline a process must be gone."""
NOTICED_S = 15.0
"""Until a client hears of a fatal error: it is told with the answer to its next request, and asks again before."""
LOST_S = 3.0
"""The longest that a server is away before the order to end."""
ORDERED = frozenset({0, 1})
"""Exit codes after an order, when a server is away: done, or given up at the deadline."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One row. name; roles: whom it hits; begin: what happens, and what brings it back; ordered: SIGTERM follows, at
    once or after up to `LOST_S`; codes: of the exit.
    """

    name: str
    roles: Collection[str]
    begin: Callable[[Stand, Collection[str]], Callable[[], object]]
    ordered: bool
    codes: Collection[int] = ORDERED


@dataclass(frozen=True, slots=True)
class End:
    """How one process ended. seconds: from the order, or from the fatal error's cause; code: None: it did not end in
    time; codes: those of its reason.
    """

    role: str
    strike: str
    seconds: float
    code: int | None
    codes: Collection[int]

    @property
    def in_time(self) -> bool:
        """Whether it ended in time, with whichever code."""
        return self.code is not None

    @property
    def good(self) -> bool:
        """Whether it ended in time, and with a code of its reason."""
        return self.code in self.codes


def _nothing(_: Stand, __: Collection[str]) -> Callable[[], object]:
    return lambda: None


def _refused(stand: Stand, roles: Collection[str]) -> Callable[[], object]:
    for role in roles:
        stand.refuse(READS[role])
    return stand.allow


def _spoilt(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.spoil()
    return stand.forget


def _locked(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.lock_redis()
    return stand.unlock_redis


def _broker_cut(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.broker_link.cut()
    return stand.broker_link.mend


def _broker_killed(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.kafka.kill()
    return stand.kafka.start


def _broker_frozen(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    kill(stand.kafka.pid, signal.SIGSTOP)
    return lambda: kill(stand.kafka.pid, signal.SIGCONT)


def _redis_cut(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.redis_link.cut()
    return stand.redis_link.mend


def _redis_killed(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.redis.kill()
    return stand.redis.start


def _receiver_hangs(stand: Stand, _: Collection[str]) -> Callable[[], object]:
    stand.receiver_hangs.set()
    return stand.receiver_hangs.clear


ALL = tuple(READS)
STRIKES = (
    Strike("ordered", ALL, _nothing, ordered=True, codes={0, -signal.SIGTERM}),
    Strike("refused by the broker", ALL, _refused, ordered=False, codes={BrokerRefused.exit_code}),
    Strike(
        "too many dead letters", ("acoustic", "agents"), _spoilt, ordered=False, codes={DeadLetterCapReached.exit_code}
    ),
    Strike("refused by Redis", ("agents",), _locked, ordered=False, codes={StoreRefused.exit_code}),
    Strike("broker cut, then ordered", ALL, _broker_cut, ordered=True),
    Strike("broker killed, then ordered", ALL, _broker_killed, ordered=True),
    Strike("broker frozen, then ordered", ALL, _broker_frozen, ordered=True),
    Strike("Redis cut, then ordered", ("agents",), _redis_cut, ordered=True),
    Strike("Redis killed, then ordered", ("agents",), _redis_killed, ordered=True),
    Strike("receiver hangs, then ordered", ("bridge",), _receiver_hangs, ordered=True),
)


def strike(stand: Stand, row: Strike, rng: Random) -> list[End]:
    """Start the roles of a row, end them at a moment by chance, and say how."""
    with ExitStack() as exits:
        processes = [stand.begin(role) for role in row.roles]
        for process in processes:
            exits.callback(_killed, process)
        for process in processes:
            stand.ready(process)
        _wait(rng.uniform(0, 1), stand.feed)
        back = row.begin(stand, row.roles)
        exits.callback(back)
        began = time.monotonic()
        if row.ordered:
            if row.begin is not _nothing:
                _wait(rng.uniform(0, LOST_S), lambda: None)
            began = time.monotonic()
            for process in processes:
                process.process.terminate()
        within_s = DEADLINE_S + GRACE_S + (0.0 if row.ordered else NOTICED_S)
        return _ends(row, processes, began, within_s)


def _ends(row: Strike, processes: Sequence[Process], began: float, within_s: float) -> list[End]:
    ends: dict[str, End] = {}
    while len(ends) < len(processes) and time.monotonic() < began + within_s:
        for process in processes:
            code, seconds = process.process.poll(), time.monotonic() - began
            if code is not None and process.role not in ends:
                ends[process.role] = End(process.role, row.name, seconds, code, row.codes)
        time.sleep(0.02)
    return [ends.get(p.role) or End(p.role, row.name, within_s, None, row.codes) for p in processes]


def _wait(seconds: float, meanwhile: Callable[[], object]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        meanwhile()
        time.sleep(min(0.05, max(until - time.monotonic(), 0)))


def _killed(process: Process) -> None:
    process.process.kill()
    process.process.wait()
