"""One person: where they stand, scores of their memos with evidence, episodes, and marks that explain changes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, tuple_

from schemas.events import Band, Evidence, Modality
from streams.history import attention
from streams.history.care import Mark, marks
from streams.history.caseload import CaseloadRow, person_columns, row_of
from streams.history.episode import Episode, episodes
from streams.history.opened_rows import opened
from streams.history.sealing import digests_of, keys_of
from streams.history.tables import SCORES, moment, unix_ms


@dataclass(frozen=True, slots=True)
class Person:
    """A person's row of the caseload, and what only the person's own page shows.

    first_memo_at: of all memos that were kept; silent_from: when the person counts as silent if no memo comes, None
    without a memo; usual_gap_days: between two memos, None when too few are known.
    """

    row: CaseloadRow
    first_memo_at: datetime | None
    silent_from: datetime | None
    usual_gap_days: float | None

    @property
    def user_id(self) -> str:
        """The pseudonym."""
        return self.row.user_id

    @property
    def cohort(self) -> str:
        """The cohort; empty for the one of everybody else."""
        return self.row.cohort


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The score of one memo, as it holds today; the fields are those of RiskScored."""

    score_id: str
    memo_id: str
    recorded_at: datetime
    uploaded_at: datetime
    scored_at: datetime
    probability: float | None
    band: Band
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    modalities: tuple[Modality, ...]
    bundle_id: str


def person(connection: Connection, user_id: str) -> Person | None:
    """What is known of a person; None for a pseudonym that nothing is known of."""
    found = person_columns(connection, user_id) if "\0" not in user_id else None
    if found is None:
        return None
    gap_ms = attention.usual_gap_ms(attention.recent_from_bytes(found.recent))
    return Person(
        row=row_of(found),
        first_memo_at=None if found.first_ms is None else moment(found.first_ms),
        silent_from=None if found.silent_ms is None else moment(found.silent_ms),
        usual_gap_days=None if gap_ms is None else gap_ms / attention.DAY_MS,
    )


def scores(connection: Connection, user_id: str, since: datetime, until: datetime) -> list[ScoreRow]:
    """The scores of the memos recorded from `since` to before `until`, oldest first."""
    if "\0" in user_id:
        return []
    columns = SCORES.c
    rows = select(SCORES).where(
        columns.user_id.in_(keys_of(connection, [user_id])),
        columns.recorded_ms >= unix_ms(since),
        columns.recorded_ms < unix_ms(until),
    )
    return sorted(map(_score, opened(connection, rows, SCORES)), key=lambda row: (row.recorded_at, row.memo_id))


def latest_scores(
    connection: Connection,
    user_id: str,
    since: datetime,
    until: datetime,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[ScoreRow]:
    """At most `limit` scores of the memos recorded from `since` to before `until`, newest first.

    before: time and memo of the last score of the page before, None for the first page.
    """
    if "\0" in user_id:
        return []
    columns = SCORES.c
    rows = select(SCORES).where(
        _before(connection, user_id, before),
        columns.recorded_ms >= unix_ms(since),
        columns.recorded_ms < unix_ms(until),
    )
    ordered = rows.order_by(columns.recorded_ms.desc(), columns.memo_id.desc()).limit(limit)
    return [_score(row) for row in opened(connection, ordered, SCORES)]


def _before(connection: Connection, user_id: str, last: tuple[datetime, str] | None) -> ColumnElement[bool]:
    """The scores of a person that come before the last of a page, by time and stored id; all without one."""
    columns = SCORES.c
    keys = keys_of(connection, [user_id])
    if last is None:
        return columns.user_id.in_(keys)
    ids = {user_id: last[1], **digests_of(connection, [user_id], columns.memo_id, last[1])}
    own = tuple_(columns.recorded_ms, columns.memo_id)
    return or_(*(and_(columns.user_id == key, own < (unix_ms(last[0]), ids[key])) for key in keys))


def memo_score(connection: Connection, user_id: str, memo_id: str) -> ScoreRow | None:
    """The score of one memo of a person; None while it has none. It reads this person's part of the primary key."""
    if "\0" in user_id + memo_id:
        return None
    columns = SCORES.c
    rows = select(SCORES).where(
        columns.user_id.in_(keys_of(connection, [user_id])),
        columns.memo_id.in_([memo_id, *digests_of(connection, [user_id], columns.memo_id, memo_id).values()]),
    )
    found = opened(connection, rows.order_by(columns.recorded_ms.desc()).limit(1), SCORES)
    return _score(found[0]) if found else None


def _score(row: Row[tuple[object, ...]]) -> ScoreRow:
    details = attention.details_from_bytes(row.details)
    return ScoreRow(
        score_id=row.score_id,
        memo_id=row.memo_id,
        recorded_at=moment(row.recorded_ms),
        uploaded_at=moment(row.uploaded_ms),
        scored_at=moment(row.scored_ms),
        probability=row.probability,
        band=Band(row.band),
        reasons=details.reasons,
        evidence=details.typed_evidence,
        modalities=details.typed_modalities,
        bundle_id=row.bundle_id,
    )


__all__ = [
    "Episode",
    "Mark",
    "Person",
    "ScoreRow",
    "episodes",
    "latest_scores",
    "marks",
    "memo_score",
    "person",
    "scores",
]
