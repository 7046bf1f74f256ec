"""A chart's reader: clocks of the zone on the axis, numbers of the language."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from babel import Locale

from streams.web.person.reader import Reader

GERMAN = Reader(str, Locale("de"), ZoneInfo("Europe/Berlin"))


def test_the_axis_shows_the_clock_of_the_zone_in_summer_and_winter() -> None:
    for month, hour in ((1, 10), (7, 11)):
        moment = datetime(2026, month, 5, 9, tzinfo=UTC)
        assert datetime.fromtimestamp(GERMAN.axis(moment) / 1000, UTC).hour == hour


def test_numbers_are_of_the_language_and_nothing_is_a_dash() -> None:
    assert (GERMAN.number(1.25), GERMAN.signed(-1.25, 2), GERMAN.percent(0.42)) == ("1,25", "−1,25", "42\xa0%")
    assert {GERMAN.number(None), GERMAN.signed(None), GERMAN.percent(None)} == {"–"}


def test_moments_have_their_zone() -> None:
    assert GERMAN.when(datetime(2026, 1, 5, 9, tzinfo=UTC)) == "5. Jan. 2026, 10:00 MEZ"
    assert GERMAN.day(datetime(2026, 1, 5, 23, 30, tzinfo=UTC)) == "06.01.2026"
