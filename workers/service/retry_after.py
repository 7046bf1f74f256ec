"""The `Retry-After` header of HTTP (RFC 9110, section 10.2.3), within bounds whatever it contains."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_DIGITS = 12
"""Digits of a number of seconds that is read; a longer one is as good as the longest wait."""


def retry_after_s(value: str, now: datetime, longest_s: float) -> float:
    """Seconds to wait: at least 0, at most `longest_s`; 0 for a value that is neither whole seconds nor a date.

    now: aware.

    >>> now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    >>> retry_after_s("7", now, 60.0), retry_after_s("-7", now, 60.0), retry_after_s("9" * 400, now, 60.0)
    (7.0, 0.0, 60.0)
    >>> retry_after_s("Mon, 30 Nov 2026 12:00:05 GMT", now, 60.0)
    5.0
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return longest_s if len(text) > LONGEST_DIGITS else min(float(text), longest_s)
    try:
        at = parsedate_to_datetime(text)
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), longest_s)
