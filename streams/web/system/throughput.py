"""Scored memos per minute, over a few spans of time. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.events import Band
from streams.history.operations import MinuteCount

SPANS = (timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Throughput:
    """Within the last `span`: memos that were scored, how many of them could not be judged, and memos per minute."""

    span: timedelta
    memos: int
    indeterminate: int

    @property
    def per_minute(self) -> float:
        """Mean over the span."""
        return self.memos / (self.span / timedelta(minutes=1))

    @property
    def indeterminate_share(self) -> float | None:
        """None without a memo."""
        return self.indeterminate / self.memos if self.memos else None


def throughput(minutes: Iterable[MinuteCount], now: datetime) -> list[Throughput]:
    """The spans, the shortest first. minutes: at least those of the longest one."""
    counts = list(minutes)
    return [_within(counts, now, span) for span in SPANS]


def _within(counts: Sequence[MinuteCount], now: datetime, span: timedelta) -> Throughput:
    within = [count for count in counts if count.minute > now - span]
    indeterminate = sum(count.memos for count in within if count.band is Band.INDETERMINATE)
    return Throughput(span, sum(count.memos for count in within), indeterminate)
