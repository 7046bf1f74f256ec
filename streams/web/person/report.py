"""Everything that the page of one person shows, made from what is stored of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.events import CareAction, Evidence, RiskScored
from streams.drift.rules import Rules
from streams.history.care import Mark
from streams.history.episode import Episode
from streams.web.markers import heard, title_of
from streams.web.person.evidence import MarkerSeries, marker_series
from streams.web.person.following import Following, following
from streams.web.person.happened import spans, steps
from streams.web.person.reader import Reader
from streams.web.person.spans import AlertStep, Span
from streams.web.person.timeline import Memo, Timeline, judged_memos, shown

PAGE = 50
"""Rows of the table of memos at once."""


class Period(StrEnum):
    """Which time the charts and tables show; the value is what the address says."""

    WEEK = "7"
    MONTH = "30"
    QUARTER = "90"
    ALL = "all"

    def since(self, now: datetime) -> datetime | None:
        """When it begins; None for the first memo."""
        return None if self is Period.ALL else now - timedelta(days=int(self))


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one person. scores: all; episodes: newest first; actions: oldest first."""

    scores: Sequence[RiskScored]
    episodes: Sequence[Episode]
    marks: Sequence[Mark]
    actions: Sequence[CareAction]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. memo: whose evidence is explained, None for the latest; page: of the memos, from 1."""

    period: Period = Period.QUARTER
    memo: str | None = None
    page: int = 1


@dataclass(frozen=True, slots=True)
class Why:
    """One marker of the memo that is explained. words: what is heard, as a message."""

    evidence: Evidence
    title: str
    words: str


@dataclass(frozen=True, slots=True)
class PersonReport:
    """What is shown.

    explained: the memo whose evidence `why` is, None without any; memos: a page of the table, newest first; pages: how
    many there are.
    """

    shown: Timeline
    following: Following
    explained: Memo | None
    why: tuple[Why, ...]
    markers: tuple[MarkerSeries, ...]
    memos: Sequence[Memo]
    page: int
    pages: int
    spans: tuple[Span, ...]
    steps: tuple[AlertStep, ...]


def report(stored: Stored, asked: Asked, rules: Rules, reader: Reader, now: datetime) -> PersonReport:
    """The page's content at this moment."""
    memos = judged_memos(stored.scores, rules, now, stored.marks)
    seen = shown(memos, asked.period.since(now), now)
    explained = _explained(memos, asked.memo)
    newest_first = seen.memos[::-1]
    pages = max(1, -(-len(newest_first) // PAGE))
    number = min(max(1, asked.page), pages)
    return PersonReport(
        shown=seen,
        following=following(memos, now),
        explained=explained,
        why=() if explained is None else tuple(map(_why, explained.score.evidence)),
        markers=marker_series(seen.memos),
        memos=newest_first[(number - 1) * PAGE : number * PAGE],
        page=number,
        pages=pages,
        spans=spans(seen, stored.episodes, stored.marks, stored.actions, reader),
        steps=steps(stored.episodes, reader),
    )


def _explained(memos: Sequence[Memo], wanted: str | None) -> Memo | None:
    """The memo that was asked for, else the latest one with evidence."""
    with_evidence = [memo for memo in memos if memo.score.evidence]
    named = [memo for memo in with_evidence if memo.score.memo_id == wanted]
    found = named or with_evidence
    return found[-1] if found else None


def _why(evidence: Evidence) -> Why:
    return Why(evidence, title_of(evidence.name), heard(evidence.name, evidence.deviation_sd))
