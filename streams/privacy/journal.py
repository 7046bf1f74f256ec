"""The journal of erasures, in the key directory's database: who is being erased, and which steps are done.

A row outlives a killed process and says where to go on. It names no one: the person is a keyed hash and a subject.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from schemas.errors import ConfigurationError
from streams.privacy.places import Person
from streams.privacy.steps import Erasure, Facts, Step
from workers.privacy.key_tables import ERASURES, KeyDatabase


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for. reason and ticket: for the certificate."""

    reason: str
    ticket: str | None = None

    def check_unnamed(self, user_id: str) -> None:
        """Raises ConfigurationError where it names the person: it stays on the certificate and in the audit trail."""
        if user_id in self.reason or user_id in (self.ticket or ""):
            raise ConfigurationError(
                "the reason or the ticket names the person, and would stay on the certificate: leave the name out"
            )


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row, as whoever asks for the state of an erasure reads it. certificate: its file, once there is one."""

    subject: bytes
    reason: str
    ticket: str | None
    started_at: datetime
    finished_at: datetime | None
    steps: frozenset[Step]
    certificate: bytes | None


class ErasureJournal:
    """Erasures in one key directory. Calls wait for its database; raise Transient and ConfigurationError."""

    def __init__(self, database: KeyDatabase) -> None:
        self._database = database

    def subject_of(self, person_hash: str, *, finished: bool) -> bytes | None:
        """The subject of the last erasure of a person that was finished, or was not; None where there is none."""
        ended = ERASURES.c.finished_at.is_not(None) if finished else ERASURES.c.finished_at.is_(None)
        wanted = select(ERASURES.c.subject).where(ERASURES.c.person == person_hash, ended)
        with self._database.reading() as connection:
            found: bytes | None = connection.execute(wanted.order_by(ERASURES.c.started_at.desc()).limit(1)).scalar()
        return found

    def begin(self, person: Person, person_hash: str, request: Request) -> Erasure:
        """A new erasure, or the one of this subject that was started, with the reason it was started with."""
        mine = ERASURES.c.subject == person.subject
        with self._database.writing() as connection:
            known = connection.execute(select(ERASURES).where(mine)).one_or_none()
            if known is None:
                erasure = Erasure(person, person_hash, request.reason, request.ticket, datetime.now(UTC), {})
                row = {
                    "subject": person.subject,
                    "person": person_hash,
                    "reason": request.reason,
                    "ticket": request.ticket,
                    "started_at": erasure.started_at,
                    "done": "{}",
                }
                connection.execute(insert(ERASURES), row)
                return erasure
        started_at, done = _aware(known.started_at), _steps(json.loads(known.done))
        return Erasure(person, known.person, known.reason, known.ticket, started_at, done)

    def all(self, subject: bytes | None = None) -> list[Recorded]:
        """Every erasure, the newest first; or the one of a subject, if there is one."""
        wanted = select(ERASURES).order_by(ERASURES.c.started_at.desc())
        if subject is not None:
            wanted = wanted.where(ERASURES.c.subject == subject)
        with self._database.reading() as connection:
            return [_recorded(row) for row in connection.execute(wanted)]

    def record(self, subject: bytes, step: Step, facts: Facts) -> None:
        """Note that a step is done, on disk when this returns."""
        mine = ERASURES.c.subject == subject
        with self._database.writing() as connection:
            done = json.loads(connection.execute(select(ERASURES.c.done).where(mine)).scalar_one())
            values: dict[str, Any] = {"done": json.dumps({**done, step.value: facts})}
            if step is Step.CERTIFY:
                values["finished_at"] = datetime.now(UTC)
            connection.execute(update(ERASURES).where(mine).values(**values))


def _steps(done: Mapping[str, Facts]) -> dict[Step, Facts]:
    return {Step(name): facts for name, facts in done.items()}


def _recorded(row: Any) -> Recorded:
    done = _steps(json.loads(row.done))
    certified = done.get(Step.CERTIFY)
    certificate = None if certified is None else str(certified["certificate"]).encode()
    finished_at = None if row.finished_at is None else _aware(row.finished_at)
    started_at = _aware(row.started_at)
    return Recorded(row.subject, row.reason, row.ticket, started_at, finished_at, frozenset(done), certificate)


def _aware(moment: datetime) -> datetime:
    """SQLite forgets the time zone, which is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
