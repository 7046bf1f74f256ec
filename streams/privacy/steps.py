"""The order of an erasure, as steps that are recorded one by one.

    refuse → tell → destroy → rotate → forget → delete → rewrite → try → certify

Each step is recorded once it is done, and may be repeated: whatever was interrupted goes on with the first step that is
not recorded. Keys are destroyed before anything is deleted, because that alone reaches logs, replicas and backups; what
is deleted afterwards was unreadable already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from schemas.errors import Stop
from streams.privacy.certificate import FORMAT, Statement
from streams.privacy.places import Person, Place, Trial

Facts: TypeAlias = Mapping[str, Statement]
"""What a step did, for the certificate."""


class Step(StrEnum):
    """The steps, in their order."""

    REFUSE = "refuse"
    """No process takes, opens or seals anything of the person any more, once it asks the key directory."""
    TELL = "tell"
    """Receivers outside know it, or it was tried for as long as the settings say."""
    DESTROY = "destroy"
    """The person's keys and sealed pseudonym are gone from the key directory."""
    ROTATE = "rotate"
    """The store key is replaced and destroyed: no backup of the key directory opens."""
    FORGET = "forget"
    """Every process has dropped the person's keys from its memory."""
    DELETE = "delete"
    """What is the person's own is deleted from every place that deletes."""
    REWRITE = "rewrite"
    """Files that keep what was deleted are rewritten."""
    TRY = "try"
    """A reader with every right finds nothing that opens, nor the pseudonym."""
    CERTIFY = "certify"
    """The certificate is signed and stored."""


class NotErased(Stop):
    """Something of the person is still there; the message says where and what to do."""


class Keys(Protocol):
    """What an erasure asks of the keys. Every call waits for a database or a key service, and may be repeated."""

    def refuse(self, person: Person) -> Facts:
        """Mark the person as being erased."""

    def destroy(self, person: Person) -> Facts:
        """Destroy the person's keys."""

    def rotate(self) -> Facts:
        """Replace and destroy the store key."""

    async def forgotten(self, person: Person) -> Facts:
        """Return when no process has a key of the person in its memory."""

    def sign(self, statement: Facts) -> bytes:
        """The certificate of a statement."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. person_hash: a keyed hash of the pseudonym; done: what each step that is recorded did."""

    person: Person
    person_hash: str
    reason: str
    ticket: str | None
    started_at: datetime
    done: Mapping[Step, Facts]


Record: TypeAlias = Callable[[Step, Facts], None]
"""Records on disk that a step is done."""
TellAll: TypeAlias = Callable[[], Awaitable[Facts]]
"""Informs receivers; what came of it."""


async def erase(
    erasure: Erasure, keys: Keys, places: Sequence[Place], tell: TellAll, outside: Sequence[str], record: Record
) -> bytes:
    """Take the steps that are not recorded yet; the certificate.

    Raises NotErased where the trial finds something: deleting is repeated then when it is called again. Raises
    Transient; it may be called again.
    """
    done = dict(erasure.done)
    if Step.TRY not in done:
        done = {step: facts for step, facts in done.items() if step not in (Step.DELETE, Step.REWRITE)}
    certificate = b""

    async def certify() -> Facts:
        nonlocal certificate
        certificate = await asyncio.to_thread(keys.sign, _statement(erasure, done, outside))
        return {"certificate": certificate.decode()}

    work: Mapping[Step, Callable[[], Awaitable[Facts]]] = {
        Step.REFUSE: lambda: asyncio.to_thread(keys.refuse, erasure.person),
        Step.TELL: tell,
        Step.DESTROY: lambda: asyncio.to_thread(keys.destroy, erasure.person),
        Step.ROTATE: lambda: asyncio.to_thread(keys.rotate),
        Step.FORGET: lambda: keys.forgotten(erasure.person),
        Step.DELETE: lambda: _delete(erasure.person, places),
        Step.REWRITE: lambda: _rewrite(places),
        Step.TRY: lambda: _try(erasure.person, places),
        Step.CERTIFY: certify,
    }
    for step in Step:
        if step not in done:
            done[step] = await work[step]()
            await asyncio.to_thread(record, step, done[step])
    return str(done[Step.CERTIFY]["certificate"]).encode()


async def _delete(person: Person, places: Sequence[Place]) -> Facts:
    return {place.name: dict(sorted((await place.forget(person)).items())) for place in places}


async def _rewrite(places: Sequence[Place]) -> Facts:
    left = [each for place in places for each in await place.rewrite()]
    return {"rewritten": [place.name for place in places], "left": [*left]}


async def _try(person: Person, places: Sequence[Place]) -> Facts:
    found = {place.name: await place.attempt(person) for place in places}
    check_trials(found)
    return {name: trial_facts(trials) for name, trials in found.items()}


def check_trials(found: Mapping[str, Mapping[str, Trial]]) -> None:
    """Raises NotErased where something opens, or names the person."""
    left = [
        f"{place} {row} ({trial.opened} open, {trial.named} with the pseudonym)"
        for place, trials in found.items()
        for row, trial in trials.items()
        if not trial.passed
    ]
    if left:
        raise NotErased(
            f"still there: {', '.join(left)}; records that were written in clear go with the retention of their topic, "
            "anything else is deleted when you run this again"
        )


def trial_facts(trials: Mapping[str, Trial]) -> Facts:
    """Trials as a certificate states them."""
    return {row: {each.name: getattr(trial, each.name) for each in fields(Trial)} for row, trial in trials.items()}


def _statement(erasure: Erasure, done: Mapping[Step, Facts], outside: Sequence[str]) -> Facts:
    """What the certificate says."""
    return {
        "format": FORMAT,
        "person": erasure.person_hash,
        "subject": erasure.person.subject.hex(),
        "reason": erasure.reason,
        "ticket": erasure.ticket,
        "started_at": timestamp(erasure.started_at),
        "finished_at": timestamp(datetime.now(UTC)),
        "steps": {step.value: facts for step, facts in done.items()},
        "outside": list(outside),
    }


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second.

    >>> timestamp(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
