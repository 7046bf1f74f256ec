"""What a search asks for."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.fhir.search import EARLIEST, LATEST, Period, period_of, pseudonym_of


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("dates", "period"),
    [
        ([], Period(EARLIEST, LATEST)),
        (["2026"], Period(at("2026-01-01"), at("2027-01-01"))),
        (["2026-12"], Period(at("2026-12-01"), at("2027-01-01"))),
        (["eq2026-03-31"], Period(at("2026-03-31"), at("2026-04-01"))),
        (["2026-03-31T10:00:05Z"], Period(at("2026-03-31T10:00:05"), at("2026-03-31T10:00:06"))),
        (["ge2026-03", "le2026-04"], Period(at("2026-03-01"), at("2026-05-01"))),
        (["gt2026-03", "lt2026-04-02"], Period(at("2026-04-01"), at("2026-04-02"))),
        (["sa2026-03-01T02:00:00+02:00"], Period(at("2026-03-01T00:00:01"), LATEST)),
        (["eb2026"], Period(EARLIEST, at("2026-01-01"))),
    ],
)
def test_dates_make_one_period(dates: list[str], period: Period) -> None:
    assert period_of(dates) == period


@pytest.mark.parametrize(
    "value", ["", "ne2026", "2026-13", "2026-02-30", "2026-03-01T10:00", "0000", "9999", "9999-12-31", "now"]
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be a date"):
        period_of([value])


@given(st.text(max_size=30))
def test_any_text_is_a_period_or_refused(text: str) -> None:
    with suppress(ValueError):
        since, until = period_of([text])
        assert since.tzinfo is until.tzinfo is not None


def test_a_patient_is_named_in_any_of_the_ways_of_fhir() -> None:
    assert {pseudonym_of(each) for each in ("u-1", "Patient/u-1", "urn:x-undertone:pseudonym|u-1")} == {"u-1"}
