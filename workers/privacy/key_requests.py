"""Requests for keys: one at a time, and none waits longer than a working service takes; and what has no key at all.

A sealed value without a known key may be of a directory that was restored from an older backup, or of no one: whoever
may write to a topic may write an invented subject. Nothing in the value says which. So it is waited for, for a time
that an operator has to notice, and nothing is lost afterwards either: the dead letter holds the sealed value, which is
redriven once its key is there.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from schemas.errors import Erased, Poison, Transient, Unknown
from schemas.key_purposes import LASTING
from schemas.sealed_frame import is_sealed
from workers.privacy.clear_records import FORGED, Outcome, Raw, frame_of
from workers.service import prometheus
from workers.service.health import HEALTH

if TYPE_CHECKING:
    from workers.privacy.keyring import Keyring
    from workers.privacy.sealing import Sealing

log = logging.getLogger(__name__)

KEYS = "keys"
"""The dependency's name in health reports."""
ANSWER_WITHIN_S = 10.0
"""Seconds in which the key directory and the key service answer, or whatever needs a key waits and tries again."""
COMMAND_WITHIN_S = 60.0
"""The same for a command, which does not try again: as long as one statement of a key directory may take."""
SLOW = "the key directory (UNDERTONE_KEY_DIRECTORY_URL) or the key service (UNDERTONE_KMS) takes longer than {:g} s"

FRAMES = 10_000
"""Most values that are remembered: one key of one person each."""
UNKNOWN = (
    "the key directory does not know the subject or the month of a record: its replica is behind, or it was restored "
    "from an older backup; restore the newest one"
)
REPLACED = "the key directory was replaced by an older one, which lacks keys that it had: restore its newest backup"
GIVEN_UP = (
    "the key directory did not know its subject or month for UNDERTONE_UNKNOWN_KEY_WAIT_S; where an older backup of it "
    "was restored, restore the newest one and redrive this"
)


class _Process:
    is_command = False


def wait_as_a_command() -> None:
    """This process is a command: it waits for COMMAND_WITHIN_S, and says so."""
    _Process.is_command = True


class KeyRequests:
    """Of one event loop after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._asking: asyncio.Task[None] | None = None
        """The last request, which outlives whoever asked when it takes too long."""
        self._said = ""
        """Why there was no answer, as health reports say since."""

    async def answered(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Return when this request is answered. Raises what it raises, and Transient when it takes too long."""
        within_s = COMMAND_WITHIN_S if _Process.is_command else ANSWER_WITHIN_S
        try:
            async with asyncio.timeout(within_s), _announced(within_s), self._turn:
                # A thread that waits for a service cannot be stopped: none is started beside it.
                if self._asking is not None and not self._asking.done():
                    await asyncio.wait({self._asking})
                self._asking = asyncio.create_task(ask())
                await asyncio.shield(self._asking)
        except TimeoutError:
            slow = SLOW.format(within_s)
            self._say(slow)
            raise Transient(slow) from None
        except Transient as error:
            self._say(str(error))
            raise
        # Why another request has none yet, such as for a key that is unknown, stays.
        if HEALTH.lacking().get(KEYS) == self._said:
            HEALTH.has(KEYS)

    def _say(self, why: str) -> None:
        self._said = why
        HEALTH.lacks(KEYS, why)


@asynccontextmanager
async def _announced(within_s: float) -> AsyncIterator[None]:
    """Where the block may take longer than ANSWER_WITHIN_S, it is said then what it waits for."""
    if within_s <= ANSWER_WITHIN_S:
        yield
        return
    say = partial(log.warning, "still waiting: %s; giving up after %g s", SLOW.format(ANSWER_WITHIN_S), within_s)
    timer = asyncio.get_running_loop().call_later(ANSWER_WITHIN_S, say)
    try:
        yield
    finally:
        timer.cancel()


class UnknownKeys:
    """Sealed values without a known key, of one process.

    wait_s: seconds from the first such value on; clock: monotonic seconds.

    The time runs once for all of them, so that many invented subjects hold a partition no longer than one does. It
    begins again when one of them is known after all, as somebody restores the directory then.
    """

    def __init__(self, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_s, self._clock = wait_s, clock
        self._since = 0.0
        self._frames: set[tuple[bytes, int]] = set()

    def settled(self, record: Raw, outcome: Outcome) -> Outcome:
        """The outcome of a record whose keys were asked for: Poison for one that is waited for no longer."""
        if record.value is None or not is_sealed(record.value) or isinstance(outcome, Poison):
            return outcome
        frame = frame_of(record.value)
        if isinstance(outcome, Unknown):
            return Poison(FORGED, GIVEN_UP) if self.give_up((frame.subject, frame.epoch)) else outcome
        self.found((frame.subject, frame.epoch))
        return outcome

    def give_up(self, frame: tuple[bytes, int]) -> bool:
        """Note that a value (its subject and month) has no known key; whether it is waited for no longer."""
        if not self._frames:
            self._since = self._clock()
        if len(self._frames) < FRAMES:
            self._frames.add(frame)
        if self._clock() - self._since < self._wait_s:
            return False
        HEALTH.has(KEYS)
        prometheus.KEYS_UNKNOWN.set(0)
        return True

    def found(self, frame: tuple[bytes, int]) -> None:
        """Note that a value has a key, or is known to be of a person who was erased."""
        if frame in self._frames:
            self._frames.clear()


async def erased_since(border: "Sealing", users: Iterable[str]) -> set[str]:
    """Those of these people who were erased since a sealed record of theirs was opened here. Raises Transient."""
    known = {user: subject for user in users if (subject := border.came_sealed(user)) is not None}
    keyring = await border.keys() if known else None
    if keyring is None:
        return set()
    await keyring.warm(frames={(subject, LASTING) for subject in known.values()})
    return {user for user, subject in known.items() if _is_erased(keyring, subject)}


def _is_erased(keyring: "Keyring", subject: bytes) -> bool:
    try:
        keyring.user(subject)
    except Erased:
        return True
    except Unknown:
        return False
    return False
