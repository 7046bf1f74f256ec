"""When a record arrived, by its timestamp in Kafka, which may be wrong. Pure."""

EARLIEST_S = 946_684_800.0
"""2000-01-01 UTC: clocks that were never set begin at 1970, 1980 or 2000. No upload or arrival is from before."""


def arrived_s(timestamp_ms: int, now_s: float) -> float:
    """When a record arrived, in Unix seconds: Kafka's timestamp, where that is possible, else the reader's clock.

    The timestamp may be a producer's (CreateTime), so it is ignored when it is missing, from before 2000, or later than
    now.

    >>> arrived_s(1_767_225_600_000, now_s=1_800_000_000.0)
    1767225600.0
    >>> arrived_s(-1, now_s=1_800_000_000.0)
    1800000000.0
    """
    stamp_s = timestamp_ms / 1000
    return stamp_s if EARLIEST_S <= stamp_s <= now_s else now_s
