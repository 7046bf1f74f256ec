"""Headers of a redriven record: how often it was redriven, and its earlier failures.

A dead letter keeps the headers of its record, so the history of a record that fails again grows with every redrive.
Features of a redriven memo say how often it was redriven, so that a join closed by a dead letter accepts them. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC

from schemas.events import DeadLetter
from schemas.headers import Headers

REDRIVES = "undertone-redrives"
"""How often this record was redriven, in digits."""
HISTORY = "undertone-history"
"""Its failures, oldest first, as a JSON list of objects with the fields of `Failure`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a record. at: RFC 3339, UTC; topic, partition, offset: of the record when it failed."""

    dead_letter_id: str
    stage: str
    reason: str
    topic: str
    partition: int
    offset: int
    at: str


def redrives_of(headers: Mapping[str, bytes]) -> int:
    """How often a record was redriven; 0 also when the header cannot be parsed."""
    try:
        return max(int(headers.get(REDRIVES) or b"0"), 0)
    except ValueError:
        return 0


def history_of(headers: Mapping[str, bytes]) -> tuple[Failure, ...]:
    """The failures of a record before this one, oldest first; none when the header cannot be parsed."""
    try:
        return tuple(Failure(**entry) for entry in json.loads(headers.get(HISTORY) or b"[]"))
    except (ValueError, TypeError):
        return ()


def redriven_headers(letter: DeadLetter, redrives: int) -> Headers:
    """Headers of the record of a dead letter when it is redriven for the `redrives`-th time."""
    failure = Failure(
        letter.dead_letter_id,
        letter.stage,
        letter.reason,
        letter.topic,
        letter.partition,
        letter.offset,
        letter.at.astimezone(UTC).isoformat(timespec="milliseconds"),
    )
    history = [asdict(each) for each in (*history_of(letter.headers), failure)]
    ours = {REDRIVES: str(redrives).encode(), HISTORY: json.dumps(history, separators=(",", ":")).encode()}
    return list({**letter.headers, **ours}.items())
