"""What is new since a position: the source of live events, which a reader resumes exactly where it stopped.

A position says for each partition how many of its records are stored. Each partition has one writer, which stores rows
and number together, so nothing appears later behind a number that a reader has passed.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, or_, select

from schemas import topics
from schemas.codec import Codec
from schemas.events import CareAction, RiskAlert
from streams.history.opened_rows import opened_page
from streams.history.tables import ACTIONS, ALERTS, FACTS, PEOPLE, POSITIONS, REBUILDS, SCORES, moment

LONGEST = 4096
"""Characters of an encoded position."""
LIVE_TOPICS = (topics.SCORED.name, topics.ALERTS.name, topics.CARE.name)
"""Topics whose records are rows of their own."""
_LETTERS = {topics.SCORED.name: "s", topics.ALERTS.name: "a", topics.CARE.name: "c", topics.DEAD.name: "d"}
_TOPICS = {letter: name for name, letter in _LETTERS.items()}
_PART = re.compile(r"([sacd])([0-9]{1,5})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Position:
    """How much is known: the number of the last record of each partition, and of which rebuild these numbers are."""

    numbers: Mapping[tuple[str, int], int]
    rebuild: int = 0

    def encode(self) -> str:
        """As text without spaces, such as `0.a0-12.s3-77`: rebuild, then topic, partition and number of each."""
        parts = (
            f"{_LETTERS[topic]}{partition}-{seq}" for (topic, partition), seq in sorted(self.numbers.items()) if seq
        )
        return ".".join((str(self.rebuild), *parts))

    @classmethod
    def decode(cls, text: str) -> "Position":
        """The position in a text. Raises ValueError for any other text."""
        head, *parts = text[: LONGEST + 1].split(".")
        found = [_PART.fullmatch(part) for part in parts]
        if len(text) > LONGEST or not (head.isascii() and head.isdigit() and len(head) < 10) or None in found:
            raise ValueError("not a position of live events")
        return cls({(_TOPICS[m[1]], int(m[2])): int(m[3]) for m in found if m}, int(head))

    def after(self, event: "LiveEvent") -> "Position":
        """This position, once the event is known too."""
        return Position({**self.numbers, (event.topic, event.partition): event.seq}, self.rebuild)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One row that is new.

    topic, partition, seq: its place; kind: band of a score, state of an alert, or what was done; at: when the memo was
    recorded, or the step or action happened; dedup_key: the episode of an alert or action.
    """

    topic: str
    partition: int
    seq: int
    user_id: str
    cohort: str
    at: datetime
    kind: str
    record_id: str
    dedup_key: str | None = None


class TooOld(ValueError):
    """Nothing can be resumed from this position: the numbers are of an earlier rebuild, or of another database."""


def position(connection: Connection) -> Position:
    """How much is stored now; one small query."""
    rows = select(POSITIONS.c.topic, POSITIONS.c.partition, POSITIONS.c.seq)
    numbers = {(topic, partition): seq for topic, partition, seq in connection.execute(rows)}
    rebuilds = connection.scalar(select(FACTS.c.value).where(FACTS.c.name == REBUILDS))
    return Position({at: seq for at, seq in numbers.items() if at[0] in _LETTERS}, int(rebuilds or 0))


def since(
    connection: Connection,
    known: Position,
    wanted: Collection[str] = LIVE_TOPICS,
    limit: int = 500,
) -> tuple[list[LiveEvent], Position]:
    """What is stored after `known`, by topic, partition and number, and the position after it.

    wanted: names of topics; the others count as known. At most `limit` events of each topic: ask again from the new
    position for the rest. Raises TooOld.
    """
    now = position(connection)
    if known.rebuild != now.rebuild or any(seq > now.numbers.get(at, 0) for at, seq in known.numbers.items()):
        raise TooOld("live events start again: load the page again")
    events: list[LiveEvent] = []
    numbers = dict(now.numbers)
    for topic, read in _READ.items():
        behind = {at[1]: (known.numbers.get(at, 0), seq) for at, seq in now.numbers.items() if at[0] == topic}
        behind = {partition: span for partition, span in behind.items() if span[0] < span[1]}
        if topic in wanted and behind:
            found = read(connection, behind, limit)
            events += found
            if len(found) == limit:
                numbers.update(_reached(topic, found, known, behind))
    return events, Position(numbers, now.rebuild)


def _reached(
    topic: str, found: Sequence[LiveEvent], known: Position, behind: Mapping[int, tuple[int, int]]
) -> dict[tuple[str, int], int]:
    """The numbers after an answer that the limit cut off: partitions before that of the last event are complete."""
    last = found[-1]
    reached = {}
    for partition, (_, end) in behind.items():
        if partition == last.partition:
            reached[topic, partition] = last.seq
        elif partition > last.partition:
            reached[topic, partition] = known.numbers.get((topic, partition), 0)
        else:
            reached[topic, partition] = end
    return reached


def _rows(connection: Connection, table: Table, spans: Mapping[int, tuple[int, int]], limit: int) -> Sequence[Any]:
    within = [
        and_(table.c.partition == partition, table.c.seq > first, table.c.seq <= last)
        for partition, (first, last) in sorted(spans.items())
    ]
    rows = select(table, PEOPLE.c.cohort).select_from(table.outerjoin(PEOPLE, PEOPLE.c.user_id == table.c.user_id))
    return opened_page(connection, rows.where(or_(*within)).order_by(table.c.partition, table.c.seq), limit, table)


def _scores(connection: Connection, spans: Mapping[int, tuple[int, int]], limit: int) -> list[LiveEvent]:
    found = []
    for row in _rows(connection, SCORES, spans, limit):
        place = (topics.SCORED.name, row.partition, row.seq, row.user_id, row.cohort or "", moment(row.recorded_ms))
        found.append(LiveEvent(*place, row.band, row.score_id))
    return found


def _alerts(connection: Connection, spans: Mapping[int, tuple[int, int]], limit: int) -> list[LiveEvent]:
    found = []
    for row in _rows(connection, ALERTS, spans, limit):
        kind = str(_FRAMES.decode(row.record, RiskAlert).state)
        place = (topics.ALERTS.name, row.partition, row.seq, row.user_id, row.cohort or "", moment(row.at_ms))
        found.append(LiveEvent(*place, kind, row.alert_id, row.dedup_key))
    return found


def _actions(connection: Connection, spans: Mapping[int, tuple[int, int]], limit: int) -> list[LiveEvent]:
    found = []
    for row in _rows(connection, ACTIONS, spans, limit):
        kind = str(_FRAMES.decode(row.record, CareAction).action)
        place = (topics.CARE.name, row.partition, row.seq, row.user_id, row.cohort or "", moment(row.at_ms))
        found.append(LiveEvent(*place, kind, row.action_id, row.dedup_key))
    return found


_FRAMES = Codec()
_READ = {topics.SCORED.name: _scores, topics.ALERTS.name: _alerts, topics.CARE.name: _actions}
