"""Erasures with real keys and one place in memory, for tests of those who ask for them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from schemas.settings import Settings
from streams.privacy import directory_keys, erasing
from streams.privacy.erasures import Erasures, ErasureState, ErasureStatus
from streams.privacy.places import Person, Place, Trial
from streams.privacy.steps import Step
from workers.privacy.keyring import Keyring

WITHIN_S = 20.0


@dataclass
class MemoryPlace:
    """A place that fails as a test wants it. failing: the errors of its next calls; held: its calls wait."""

    name: str = "Redis"
    failing: list[Exception] = field(default_factory=list)
    held: bool = False
    forgot: list[Person] = field(default_factory=list)

    async def forget(self, person: Person) -> Counter[str]:
        while self.held:
            await asyncio.sleep(0.01)
        if self.failing:
            raise self.failing.pop(0)
        self.forgot.append(person)
        return Counter(drift=1)

    async def rewrite(self) -> Sequence[str]:
        return ()

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        return {"drift": Trial(tried=1)}


def without_servers(patch: pytest.MonkeyPatch, place: MemoryPlace) -> None:
    """Erasures of this process have this place alone, and wait for no process."""

    @asynccontextmanager
    async def opened(settings: Settings, more: Sequence[Place]) -> AsyncIterator[tuple[Keyring, list[Place]]]:
        keyring = await asyncio.to_thread(Keyring.open, settings)
        yield keyring, [place, *more]
        keyring.close()

    patch.setattr(erasing, "_opened", opened)
    patch.setattr(directory_keys, "MARGIN_S", 0.0)


def enrolled(settings: Settings, *users: str) -> None:
    """Give people keys."""
    keyring = Keyring.open(settings)
    keyring.warm_now(users, enrol=True)
    keyring.close()


async def until(erasures: Erasures, erasure_id: str, wanted: ErasureStatus | Step) -> ErasureState:
    """The state of an erasure, once it is this one, or once this step is the next."""
    async with asyncio.timeout(WITHIN_S):
        while (state := await erasures.one(erasure_id)) is None or wanted not in (state.status, state.next_step):
            await asyncio.sleep(0.01)
    return state
