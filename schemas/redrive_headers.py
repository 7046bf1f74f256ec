"""Headers of a redriven record: how often it was redriven, and its earlier failures.

A dead letter keeps the headers of its record, so the history of a record that fails again grows with every redrive.
Features of a redriven memo say how often it was redriven, so that a join closed by a dead letter accepts them, and how
many scores it has had, so that the next one has an id of its own. Pure.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC

from schemas.events import DeadLetter
from schemas.headers import Headers

REDRIVES = "undertone-redrives"
"""How often this record was redriven, in digits."""
HISTORY = "undertone-history"
"""Its failures, oldest first, as a JSON list of objects with the fields of `Failure`."""
REDRIVES_MOST = 1000
"""A record is not redriven more often."""
HISTORY_MOST = 50
"""Failures that a record's history keeps: the newest."""
HISTORY_BYTES = 64 * 1024
"""A longer history is not read."""
REVISION = "undertone-revision"
"""How many scores without all modalities this memo has had, in digits; `undertone rescore` writes it."""
_COUNT = re.compile(rb"[0-9]{1,9}")


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
    """How often a record was redriven; 0 also for what is no count of ours: other bytes, or more than REDRIVES_MOST."""
    return _count(headers, REDRIVES)


def revision_of(headers: Mapping[str, bytes]) -> int:
    """How many scores without all modalities a memo has had; 0 also for what is no count of ours."""
    return _count(headers, REVISION)


def _count(headers: Mapping[str, bytes], name: str) -> int:
    value = headers.get(name) or b""
    return int(value) if _COUNT.fullmatch(value) and int(value) <= REDRIVES_MOST else 0


def carried_headers(headers: Mapping[str, bytes]) -> Headers:
    """The counts of an upload, which its features carry too."""
    counts = {name: _count(headers, name) for name in (REDRIVES, REVISION)}
    return [(name, str(count).encode()) for name, count in counts.items() if count]


def rescored_headers(headers: Mapping[str, bytes]) -> Headers:
    """Headers of an upload that is written again so that its memo is scored again."""
    counts = {name: min(_count(headers, name) + 1, REDRIVES_MOST) for name in (REDRIVES, REVISION)}
    return list({**headers, **{name: str(count).encode() for name, count in counts.items()}}.items())


def history_of(headers: Mapping[str, bytes]) -> tuple[Failure, ...]:
    """The failures of a record before this one, oldest first; none when the header is not ours or too long."""
    value = headers.get(HISTORY) or b"[]"
    if len(value) > HISTORY_BYTES:
        return ()
    try:
        entries = tuple(Failure(**entry) for entry in json.loads(value))
    except (ValueError, TypeError, RecursionError):
        return ()
    return entries if all(map(_is_ours, entries)) else ()


def _is_ours(failure: Failure) -> bool:
    """Whether all fields have their types: whoever may write to a topic may write this header."""
    texts = (failure.dead_letter_id, failure.stage, failure.reason, failure.topic, failure.at)
    return all(isinstance(each, str) for each in texts) and all(
        type(each) is int for each in (failure.partition, failure.offset)
    )


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
    history = [asdict(each) for each in (*history_of(letter.headers), failure)][-HISTORY_MOST:]
    ours = {REDRIVES: str(redrives).encode(), HISTORY: json.dumps(history, separators=(",", ":")).encode()}
    return list({**letter.headers, **ours}.items())
