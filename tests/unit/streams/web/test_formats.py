"""Moments, durations and numbers in both languages."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from streams.web import formats

ENGLISH, GERMAN = Locale("en", "GB"), Locale("de")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "locale", "expected"),
    [
        ("UTC", ENGLISH, "1 Jul 2026, 12:00 UTC"),
        ("Europe/Berlin", ENGLISH, "1 Jul 2026, 14:00 CEST"),
        ("Europe/Berlin", GERMAN, "1. Juli 2026, 14:00 MESZ"),
        ("America/New_York", GERMAN, "1. Juli 2026, 08:00 EDT"),
        ("Asia/Kathmandu", GERMAN, "1. Juli 2026, 17:45 UTC+05:45"),
    ],
)
def test_a_moment_is_shown_with_its_zone(zone: str, locale: Locale, expected: str) -> None:
    assert formats.clock_time(NOON, ZoneInfo(zone), locale) == expected


def test_the_day_is_that_of_the_zone() -> None:
    late = datetime(2026, 7, 1, 23, tzinfo=UTC)
    assert formats.day(late, ZoneInfo("Europe/Berlin"), GERMAN) == "02.07.2026"


@pytest.mark.parametrize(
    ("length", "english", "german"),
    [
        (timedelta(seconds=12), "12 seconds ago", "vor 12 Sekunden"),
        (timedelta(minutes=4), "4 minutes ago", "vor 4 Minuten"),
        (timedelta(hours=23), "23 hours ago", "vor 23 Stunden"),
        (timedelta(days=9, hours=20), "9 days ago", "vor 9 Tagen"),
        (timedelta(days=40), "40 days ago", "vor 40 Tagen"),
        (timedelta(days=100), "3 months ago", "vor 3 Monaten"),
    ],
)
def test_ago_counts_in_days_up_to_two_months(length: timedelta, english: str, german: str) -> None:
    assert formats.ago(NOON - length, NOON, ENGLISH) == english
    assert formats.ago(NOON - length, NOON, GERMAN) == german


def test_an_unknown_zone_is_the_default() -> None:
    assert formats.zone("Europe/Berlin").key == "Europe/Berlin"
    assert {formats.zone(name).key for name in (None, "", "/etc/passwd", "../x", "Europe")} == {"UTC"}


def test_values_that_there_are_not_are_a_dash() -> None:
    assert {formats.number(None, GERMAN), formats.percent(None, GERMAN), formats.signed(None, GERMAN)} == {"–"}


def test_numbers_are_written_as_the_language_does() -> None:
    assert formats.number(1234.5, ENGLISH) == "1,234.5"
    assert formats.percent(0.415, GERMAN) in {"41\xa0%", "42\xa0%"}
    assert formats.signed(-0.25, GERMAN, 2) == "−0,25"
    assert formats.signed(0.0, ENGLISH) == "0.0"
