"""Moments and durations as people type them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from streams.terminal.parse_time import length, moment, since_moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T08:30:00Z", datetime(2026, 5, 1, 8, 30, tzinfo=UTC)),
        ("2026-05-01T08:30:00+02:00", datetime(2026, 5, 1, 6, 30, tzinfo=UTC)),
        ("2026-05-01T08:30", datetime(2026, 5, 1, 8, 30, tzinfo=UTC)),
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_utc_unless_it_names_a_zone(text: str, expected: datetime) -> None:
    assert moment(text) == expected
    assert moment(text).tzinfo is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert length(text) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "3d", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]
)
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-"):
        moment(text)


@pytest.mark.parametrize("text", ["", "3", "d", "3 d", "-3d", "1.5h", "3days", "3D", "90m "])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90m"):
        length(text)


@pytest.mark.parametrize("text", ["36501d", "9999999999w", "9" * 5000 + "m"])
def test_a_duration_that_no_calendar_holds_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="hundred years"):
        since_moment(text)
    assert datetime.now(UTC) - length("36500d") < datetime.now(UTC)


def test_since_takes_either() -> None:
    before = datetime.now(UTC)
    found = since_moment("2w")
    assert before - timedelta(weeks=2) <= found <= datetime.now(UTC) - timedelta(weeks=2)
    assert since_moment("2026-05-01") == datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(typer.BadParameter):
        since_moment("long ago")
