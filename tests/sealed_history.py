"""A history whose rows are sealed or in clear, what is stored in it, and what its files hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from schemas.event_enums import CareActionKind, MarkKind
from schemas.settings import Settings
from streams.history.database import Database
from streams.history.writes import batch, positions
from streams.history.writes.batch import Kept
from streams.history.writes.conversion import HOLDERS, SealedSome, seal_some
from tests.disk import contents
from tests.history import KEEPING, NOW_MS, action, alert, parts, score
from tests.postgres import PostgresServer

CANARY = 0.8371946253


@dataclass
class History:
    """One history, opened with sealing or without. `with history.on() as connection: …`"""

    settings: Settings

    def opened(self, seal: str = "on") -> Database:
        return Database.open(self.settings.model_copy(update={"seal": seal}))


def kept(connection: Connection, records: Sequence[Kept], sealed: bool = False) -> int:
    """Store records as the next ones of their topics. sealed: as they are on the topics."""
    found = []
    for part in parts(records):
        at = part.step.at
        start = positions.stored(connection, [at])[at].next_offset
        step = replace(part.step, expected=start, next_offset=start + len(part.records))
        found.append(replace(part, step=step, in_clear=frozenset() if sealed else part.in_clear))
    return batch.store(connection, found, KEEPING, NOW_MS)


def everything(user: str) -> list[Kept]:
    """Whatever rows are made of, with words that are looked for on disk."""
    key = f"episode-{len(user)}"
    told = f"pauses longer than canaries of {user}"
    raised = replace(alert(user, 3.0), alert_id=f"alert-{len(user)}", dedup_key=key, summary=told)
    seen = action(user, CareActionKind.ACKNOWLEDGED, 1.0, dedup_key=key, note=f"saw her at the market, {user}")
    cold = action(user, CareActionKind.MARKED, 1.0, mark=MarkKind.ILLNESS, note="canary")
    return [
        *(score(user, day, CANARY, score_id=f"score-{len(user)}-{day}") for day in (4.0, 3.0, 2.0)),
        raised,
        replace(seen, assignee="dr-canary"),
        cold,
    ]


def seal_all(connection: Connection) -> None:
    """Seal what is in clear, as history does when it starts."""
    for holder in HOLDERS:
        done = SealedSome(0, "")
        while done.last is not None:
            done = seal_some(connection, holder, done.last)


def on_disk(history: History, words: Sequence[bytes], postgres: PostgresServer | None) -> dict[str, int]:
    """How often each word is in the files of the database, write-ahead logs included."""
    folder = history.settings.home if postgres is None else postgres.data_folder
    held = {path: data for path, data in contents(folder) if path.name != "log"}
    assert any(path.name.startswith("history.db") or path.name == "PG_VERSION" for path in held)
    return {repr(word): found for word in words if (found := sum(data.count(word) for data in held.values()))}
