"""An erasure that is killed at any step goes on, in order, and certifies only what was tried."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.privacy.certificate import signed, verified
from streams.privacy.places import Person, Trial
from streams.privacy.steps import Erasure, Facts, NotErased, Step, erase

PERSON = Person("anna", bytes(range(16)))
START = Erasure(PERSON, "ab" * 32, "asked", "T-1", datetime(2026, 11, 30, tzinfo=UTC), {})


class Killed(BaseException):
    """The process ends here."""


class World:
    """Keys and one place, in memory; what was called, in order, and when it is killed next."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.recorded: dict[Step, Facts] = {}
        self.has_keys, self.has_values, self.in_file = True, True, True
        self.kill_at: str | None = None
        self.name = "Redis"

    def note(self, call: str) -> None:
        self.calls.append(call)
        if self.kill_at == call:
            self.kill_at = None
            raise Killed

    def refuse(self, person: Person) -> Facts:
        self.note("refuse")
        return {}

    def destroy(self, person: Person) -> Facts:
        self.has_keys = False
        self.note("destroy")
        return {"keys": 2}

    def rotate(self) -> Facts:
        assert not self.has_keys, "a rotation would wrap them again"
        self.note("rotate")
        return {}

    async def forgotten(self, person: Person) -> Facts:
        self.note("forget")
        return {}

    def sign(self, statement: Facts) -> bytes:
        self.note("certify")
        return signed(statement, Ed25519PrivateKey.from_private_bytes(bytes(32)))

    async def forget(self, person: Person) -> Counter[str]:
        gone, self.has_values = int(self.has_values), False
        self.note("delete")
        return Counter(drift=gone)

    async def rewrite(self) -> Sequence[str]:
        self.in_file = self.has_values
        self.note("rewrite")
        return ["a log"]

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        self.note("try")
        return {"drift": Trial(tried=5, sealed=1, opened=int(self.has_keys), named=int(self.in_file))}

    async def tell(self) -> Facts:
        assert self.has_keys or Step.DESTROY in self.recorded, "what is told is read with the keys"
        self.note("tell")
        return {"receivers": {}}

    def record(self, step: Step, facts: Facts) -> None:
        self.note(f"before {step} is recorded")
        self.recorded[step] = facts
        self.note(f"after {step} is recorded")

    def run(self) -> bytes:
        """What a new process does with what is recorded."""
        return asyncio.run(erase(replace(START, done=self.recorded), self, [self], self.tell, ["backups"], self.record))


ORDER = ["refuse", "tell", "destroy", "rotate", "forget", "delete", "rewrite", "try", "certify"]


def test_steps_are_taken_in_order_and_certified() -> None:
    world = World()
    statement = verified(world.run())
    assert [call for call in world.calls if call in ORDER] == ORDER
    assert list(Step) == ORDER
    assert statement["person"] == "ab" * 32
    assert statement["outside"] == ["backups"]
    steps = statement["steps"]
    assert isinstance(steps, Mapping)
    assert steps["delete"] == {"Redis": {"drift": 1}}
    assert steps["rewrite"] == {"rewritten": ["Redis"], "left": ["a log"]}
    assert steps["try"] == {"Redis": {"drift": {"tried": 5, "sealed": 1, "opened": 0, "named": 0, "kept": 0}}}


@pytest.mark.parametrize("where", ["{}", "before {} is recorded", "after {} is recorded"])
@pytest.mark.parametrize("step", ORDER)
def test_an_erasure_that_is_killed_at_any_step_goes_on(step: str, where: str) -> None:
    world = World()
    world.kill_at = where.format(step)
    with pytest.raises(Killed):
        world.run()
    before = len(world.calls)
    assert verified(world.run())["subject"] == PERSON.subject.hex()
    assert (world.has_keys, world.has_values, world.in_file) == (False, False, False)
    again = [call for call in world.calls[before:] if call in ORDER]
    assert again == ORDER[len(ORDER) - len(again) :], "nothing is skipped, and steps that are recorded are not repeated"
    if where.startswith("after") and step not in ("delete", "rewrite"):
        assert step not in again


def test_what_is_still_there_is_named_and_deleted_again_later() -> None:
    world = World()
    world.in_file = True

    async def rewrite() -> Sequence[str]:
        return ()

    world.rewrite = rewrite  # type: ignore[method-assign]
    with pytest.raises(NotErased, match=r"Redis drift \(0 open, 1 with the pseudonym\)"):
        world.run()
    assert Step.TRY not in world.recorded
    del world.rewrite
    world.has_values = True
    verified(world.run())
    assert world.calls.count("delete") == 2
    assert world.calls.count("destroy") == 1
