"""Stores what was read from the topics: rows, people and positions in one transaction, once for each record.

Every row has the id that its record has, so a record that is read again changes nothing. Of two scores of one memo the
later holds.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, select, tuple_, update

from schemas.events import CareAction, DeadLetter, RiskAlert, RiskScored
from schemas.pipeline import HISTORY
from streams.history import attention, care
from streams.history.cohorts import Cohorts
from streams.history.episode import FRAMES, store_again
from streams.history.opened_rows import opened
from streams.history.sealing import stored_rows
from streams.history.tables import ALERTS, DEAD_LETTERS, EPISODES, MINUTES, SCORES, unix_ms
from streams.history.writes import people
from streams.history.writes.bulk import Values, chunks, insert_new, upsert
from streams.history.writes.conversion import taken_over
from streams.history.writes.people import Changes
from streams.history.writes.positions import Step, advance
from workers.service import prometheus

Kept: TypeAlias = RiskScored | RiskAlert | DeadLetter | CareAction
"""A record of which rows are made."""
HOUR_MS, MINUTE_MS = 3_600_000, 60_000


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of one partition.

    records: those that could be read, in the order of the log; in_clear: people whose records were in clear on the
    topic: who has no key yet gets one.
    """

    step: Step
    records: tuple[Kept, ...]
    in_clear: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Keeping:
    """How records are kept. since: what was scored, raised or done before is no longer kept."""

    cohorts: Cohorts
    since: datetime


@dataclass(slots=True)
class _Sorted:
    """The records of a batch by kind, each with its partition and its number."""

    scores: list[tuple[RiskScored, int, int]] = field(default_factory=list)
    alerts: list[tuple[RiskAlert, int, int]] = field(default_factory=list)
    actions: list[care.Placed] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)


def store(connection: Connection, parts: Sequence[Part], keeping: Keeping, now_ms: int) -> int:
    """Store these records and the new positions; how many changed something. Raises Fenced, and stores nothing then.

    Records of people who are erased are passed over.
    """
    numbers = advance(connection, [part.step for part in parts])
    may = taken_over(connection, people_in(parts), frozenset().union(*(part.in_clear for part in parts)))
    found = _sorted(parts, numbers, keeping.since, may)
    changes = Changes()
    new = _store_letters(connection, found.letters) + _store_scores(connection, found.scores, changes)
    alerts = _store_alerts(connection, found.alerts)
    done = care.insert_actions(connection, found.actions)
    _follow(connection, alerts, [action for action, _, _ in found.actions], changes, keeping.cohorts, now_ms)
    return new + len(alerts) + len(done)


def people_in(parts: Sequence[Part]) -> frozenset[str]:
    """Everybody in these records."""
    return frozenset(record.user_id for part in parts for record in part.records if not isinstance(record, DeadLetter))


def _follow(
    connection: Connection,
    alerts: Sequence[RiskAlert],
    actions: Sequence[CareAction],
    changes: Changes,
    cohorts: Cohorts,
    now_ms: int,
) -> None:
    """Episodes and people after new alerts, and after actions, which others may have applied to people without a row.

    What others did about these people is read once their rows are locked.
    """
    users = {*changes.users, *(alert.user_id for alert in alerts), *(action.user_id for action in actions)}
    rows = people.locked_or_made(connection, users, cohorts)
    changes.muted_ms = care.mutes_of(connection, actions)
    keys = [alert.dedup_key for alert in alerts]
    keys += [action.dedup_key for action in actions if action.dedup_key is not None]
    belongs = {user: row.cohort for user, row in rows.items()}
    changes.episodes = store_again(connection, keys, belongs, rows.keys())
    people.store_changes(connection, rows, changes, now_ms)


def _sorted(
    parts: Sequence[Part], numbers: Mapping[tuple[str, int], int], since: datetime, may: Collection[str]
) -> _Sorted:
    found = _Sorted()
    for part in parts:
        partition = part.step.at[1]
        for seq, record in enumerate(part.records, start=numbers[part.step.at] + 1):
            match record:
                case DeadLetter():
                    if record.at >= since:
                        found.letters.append(record)
                case _ if record.user_id not in may:
                    prometheus.RECORDS_ERASED.labels(stage=HISTORY).inc()
                case RiskScored() if record.scored_at >= since:
                    found.scores.append((record, partition, seq))
                case RiskAlert() if record.at >= since:
                    found.alerts.append((record, partition, seq))
                case CareAction() if record.at >= since:
                    found.actions.append((record, partition, seq))
    return found


def _store_letters(connection: Connection, letters: Sequence[DeadLetter]) -> int:
    rows = [
        {
            "dead_letter_id": letter.dead_letter_id,
            "hour_ms": unix_ms(letter.at) // HOUR_MS * HOUR_MS,
            "stage": letter.stage,
            "reason": letter.reason,
        }
        for letter in letters
    ]
    new = 0
    for some in chunks(rows):
        insert = upsert(connection, DEAD_LETTERS).on_conflict_do_nothing().returning(DEAD_LETTERS.c.dead_letter_id)
        new += len(connection.scalars(insert, some).all())
    return new


def _store_alerts(connection: Connection, alerts: Sequence[tuple[RiskAlert, int, int]]) -> list[RiskAlert]:
    """The alerts that are new; one that claims the episode of another user is not stored."""
    keys = sorted({alert.dedup_key for alert, _, _ in alerts})
    owners: dict[str, str] = {}
    for some in chunks(keys):
        rows = select(EPISODES.c.dedup_key, EPISODES.c.user_id, EPISODES.c.sealed)
        found = opened(connection, rows.where(EPISODES.c.dedup_key.in_(some)), EPISODES)
        owners.update((row.dedup_key, row.user_id) for row in found)
    wanted: dict[str, tuple[RiskAlert, int, int]] = {}
    for alert, partition, seq in alerts:
        if owners.setdefault(alert.dedup_key, alert.user_id) == alert.user_id:
            wanted.setdefault(alert.alert_id, (alert, partition, seq))
    stored = stored_rows(connection, ALERTS, [_alert_row(*each) for each in wanted.values()])
    new: set[str] = set()
    for some_rows in chunks(stored):
        insert = upsert(connection, ALERTS).on_conflict_do_nothing().returning(ALERTS.c.alert_id)
        new.update(connection.scalars(insert, some_rows))
    return [alert for (alert, _, _), row in zip(wanted.values(), stored, strict=True) if row["alert_id"] in new]


def _alert_row(alert: RiskAlert, partition: int, seq: int) -> dict[str, Any]:
    return {
        "alert_id": alert.alert_id,
        "dedup_key": alert.dedup_key,
        "user_id": alert.user_id,
        "at_ms": unix_ms(alert.at),
        "record": FRAMES.encode(alert),
        "partition": partition,
        "seq": seq,
    }


Key = tuple[str, int, str]
"""User, time of recording and id of a memo; or the same as they are stored."""


def _store_scores(connection: Connection, scores: Sequence[tuple[RiskScored, int, int]], changes: Changes) -> int:
    """Insert the scores of new memos, and replace those of memos that were scored again."""
    first, latest = dict[Key, RiskScored](), dict[Key, tuple[RiskScored, int, int]]()
    for each in scores:
        key = (each[0].user_id, unix_ms(each[0].recorded_at), each[0].memo_id)
        first.setdefault(key, each[0])
        if key not in latest or _replaces(each[0], latest[key][0].score_id, unix_ms(latest[key][0].scored_at)):
            latest[key] = each
    rows = stored_rows(connection, SCORES, [_score_row(*each) for each in latest.values()])
    keys = {(row["user_id"], row["recorded_ms"], row["memo_id"]): key for key, row in zip(latest, rows, strict=True)}
    new = insert_new(connection, SCORES, rows)
    again = _rescored(connection, {stored: row for stored, row in zip(keys, rows, strict=True) if stored not in new})
    for stored in (*new, *again):
        key = keys[stored]
        changes.memos[key[0]].append(attention.recent_memo(latest[key][0]))
        changes.counted[key[0]] += stored in new
    _count_minutes(connection, [first[keys[stored]] for stored in new])
    return len(new) + len(again)


def _rescored(connection: Connection, known: Mapping[Key, Values]) -> list[Key]:
    """Of rows of memos that have a score already, those that replace it; and replace it. Rows are as stored."""
    columns = SCORES.c
    replaced = []
    for some in chunks(list(known), 250):
        at = tuple_(columns.user_id, columns.recorded_ms, columns.memo_id)
        rows = select(columns.user_id, columns.recorded_ms, columns.memo_id, columns.score_id, columns.scored_ms)
        for row in connection.execute(rows.where(at.in_(some))):
            key = (row.user_id, row.recorded_ms, row.memo_id)
            if known[key]["score_id"] != row.score_id and known[key]["scored_ms"] > row.scored_ms:
                replaced.append(key)
    if replaced:
        values = [{f"b_{name}": value for name, value in known[key].items()} for key in replaced]
        connection.execute(_REPLACE, values)
    return replaced


def _replaces(score: RiskScored, score_id: str, scored_ms: int) -> bool:
    return score.score_id != score_id and unix_ms(score.scored_at) > scored_ms


_REPLACE = (
    update(SCORES)
    .where(*(SCORES.c[name] == bindparam(f"b_{name}") for name in ("user_id", "recorded_ms", "memo_id")))
    .values({column.name: bindparam(f"b_{column.name}") for column in SCORES.columns if not column.primary_key})
)


def _score_row(score: RiskScored, partition: int, seq: int) -> dict[str, Any]:
    return {
        "user_id": score.user_id,
        "recorded_ms": unix_ms(score.recorded_at),
        "memo_id": score.memo_id,
        "score_id": score.score_id,
        "uploaded_ms": unix_ms(score.uploaded_at),
        "scored_ms": unix_ms(score.scored_at),
        "probability": score.probability,
        "band": str(score.band),
        "details": attention.details_of(score),
        "bundle_id": score.bundle_id,
        "partition": partition,
        "seq": seq,
    }


def _count_minutes(connection: Connection, scores: Sequence[RiskScored]) -> None:
    counted: dict[tuple[int, str, str], int] = defaultdict(int)
    for score in scores:
        counted[unix_ms(score.scored_at) // MINUTE_MS * MINUTE_MS, str(score.band), score.bundle_id] += 1
    rows = [
        {"minute_ms": minute, "band": band, "bundle_id": bundle, "memos": memos}
        for (minute, band, bundle), memos in sorted(counted.items())
    ]
    if rows:
        insert = upsert(connection, MINUTES)
        more = {"memos": MINUTES.c.memos + insert.excluded.memos}
        connection.execute(insert.on_conflict_do_update(index_elements=list(MINUTES.primary_key), set_=more), rows)
