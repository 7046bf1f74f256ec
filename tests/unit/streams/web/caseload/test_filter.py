"""What of the caseload is wanted, in the address."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from starlette.datastructures import QueryParams

from streams.history.caseload import Attention, CaseloadFilter
from streams.web.caseload.filter import LONGEST_SEARCH, Wanted, wanted

BERLIN = ZoneInfo("Europe/Berlin")


def asked(query: str) -> Wanted:
    return wanted(QueryParams(query))


def test_an_address_without_a_filter_wants_everybody() -> None:
    assert asked("") == Wanted()
    assert not asked("").anything
    assert asked("").of(None, BERLIN) == CaseloadFilter()


def test_every_field_is_read_and_written_back() -> None:
    query = "?q=a%26b&cohort=North+clinic&since=2026-03-31&state=critical&state=silent"
    read = asked(query[1:])
    states = frozenset({Attention.CRITICAL, Attention.SILENT})
    assert read == Wanted("a&b", "North clinic", states, "2026-03-31", date(2026, 3, 31))
    assert read.query() == query
    assert read.query(after="x") == f"{query}&after=x"
    assert read.narrowed
    assert not asked("q=a").narrowed


def test_a_day_begins_in_the_viewers_zone() -> None:
    assert asked("since=2026-07-01").of(None, BERLIN).since == datetime(2026, 6, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize("text", ["31.03.2026", "yesterday", "2026-02-30", "9999999-01-01", "0" * 500])
def test_what_is_no_day_is_said_and_filters_nothing(text: str) -> None:
    read = asked(f"since={text}")
    assert read.since_wrong
    assert read.of(None, BERLIN).since is None


def test_an_unknown_state_and_an_endless_search_do_no_harm() -> None:
    read = asked(f"state=depressed&state=&q={'x' * 5000}")
    assert read.states == frozenset()
    assert len(read.search) == LONGEST_SEARCH


@pytest.mark.parametrize(
    ("cohort", "seen", "expected"),
    [
        (None, None, None),
        (None, ("north",), ("north",)),
        ("north", None, ("north",)),
        ("north", ("north", "south"), ("north",)),
        ("south", ("north",), ()),
        (None, (), ()),
    ],
)
def test_no_filter_reaches_beyond_the_viewers_cohorts(
    cohort: str | None, seen: tuple[str, ...] | None, expected: tuple[str, ...] | None
) -> None:
    assert Wanted(cohort=cohort).of(seen, BERLIN).cohorts == expected
