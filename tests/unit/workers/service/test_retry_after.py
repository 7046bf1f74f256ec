"""`Retry-After` as servers write it, by mistake or on purpose."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.service.retry_after import retry_after_s

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "-1", "-1e18", "nan", "inf", "soon", "1.5", "٣", "1e3", "0", "\x00", "Mon, 99"])
def test_what_is_no_number_of_whole_seconds_and_no_date_waits_for_nothing(value: str) -> None:
    assert retry_after_s(value, NOW, 60.0) == 0.0


@pytest.mark.parametrize("value", ["61", "9" * 18, "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_what_is_too_long_is_the_longest_wait(value: str) -> None:
    assert retry_after_s(value, NOW, 60.0) == 60.0


def test_dates_count_from_now_and_past_ones_for_nothing() -> None:
    assert retry_after_s(format_datetime(NOW + timedelta(seconds=30), usegmt=True), NOW, 60.0) == 30.0
    assert retry_after_s(format_datetime(NOW - timedelta(days=3), usegmt=True), NOW, 60.0) == 0.0
    assert retry_after_s("Mon, 30 Nov 2026 12:00:20", NOW, 60.0) == 20.0, "without a zone it is UTC"


@given(st.text(max_size=40))
def test_any_text_is_within_the_bounds(value: str) -> None:
    assert 0.0 <= retry_after_s(value, NOW, 60.0) <= 60.0
