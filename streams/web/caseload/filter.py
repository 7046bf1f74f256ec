"""What of the caseload a viewer wants to see, as it is written in the address. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from streams.history.caseload import Attention, CaseloadFilter

LONGEST_SEARCH = 200
"""Characters of a search; a pseudonym is shorter."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields of the filter as they were given. since: as written; since_wrong: whether that is no day."""

    search: str = ""
    cohort: str | None = None
    states: frozenset[Attention] = frozenset()
    since: str = ""
    since_day: date | None = None

    @property
    def since_wrong(self) -> bool:
        """Whether `since` was given and is no day."""
        return bool(self.since) and self.since_day is None

    @property
    def narrowed(self) -> bool:
        """Whether anything but the search is given."""
        return self != Wanted(self.search)

    @property
    def anything(self) -> bool:
        """Whether anything is filtered."""
        return self != Wanted()

    def query(self, **more: str | None) -> str:
        """The filter as the query of an address, with other parameters behind it."""
        pairs = [("q", self.search), ("cohort", self.cohort), ("since", self.since)]
        states = [("state", str(state)) for state in Attention if state in self.states]
        given = [(name, value) for name, value in (*pairs, *states, *more.items()) if value]
        return f"?{urlencode(given)}" if given else ""

    def of(self, cohorts: Sequence[str] | None, zone: ZoneInfo) -> CaseloadFilter:
        """The filter for the database. cohorts: those whose people the viewer sees, None for all."""
        seen = cohorts if self.cohort is None else [self.cohort] if cohorts is None or self.cohort in cohorts else []
        day = self.since_day
        since = None if day is None else datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        return CaseloadFilter(self.search, None if seen is None else tuple(seen), self.states, since)


def wanted(query: QueryParams) -> Wanted:
    """The filter in the query of an address; an unknown state counts for nothing."""
    states = frozenset(Attention(text) for text in query.getlist("state") if text in set(Attention))
    since = query.get("since", "").strip()[:20]
    return Wanted(
        search=query.get("q", "").strip()[:LONGEST_SEARCH],
        cohort=query.get("cohort") or None,
        states=states,
        since=since,
        since_day=_day(since),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
