"""Throughput over spans."""

from datetime import UTC, datetime, timedelta

from schemas.events import Band
from streams.history.operations import MinuteCount
from streams.web.system.throughput import throughput

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)


def test_a_span_has_its_minutes_alone() -> None:
    minutes = [
        MinuteCount(NOW - timedelta(minutes=2), Band.LOW, 8),
        MinuteCount(NOW - timedelta(minutes=2), Band.INDETERMINATE, 2),
        MinuteCount(NOW - timedelta(minutes=30), Band.HIGH, 50),
        MinuteCount(NOW - timedelta(hours=20), Band.LOW, 100),
    ]
    found = throughput(minutes, NOW)
    assert [each.memos for each in found] == [10, 60, 160]
    assert [each.per_minute for each in found] == [2.0, 1.0, 160 / 1440]
    assert found[0].indeterminate_share == 0.2


def test_without_memos_no_share_is_said() -> None:
    assert [each.indeterminate_share for each in throughput([], NOW)] == [None, None, None]
