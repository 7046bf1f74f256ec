"""How often one subject or address may ask: a token bucket each.

A bucket holds `burst` tokens and gains `per_s` a second; a request takes one. Buckets are of one process: with several
the limit of all together is that of one times their number.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_KEYS = 50_000
"""Most buckets in memory; the one that was unused for longest makes room, and is full if it ever comes back."""


@dataclass(frozen=True, slots=True)
class Rate:
    """per_s: tokens gained a second; burst: tokens of a full bucket."""

    per_s: float
    burst: float


@dataclass(slots=True)
class RateLimit:
    """One bucket for each key."""

    rate: Rate
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    """Tokens and the time of the last request, in seconds."""

    def wait_s(self, key: str, now_s: float, cost: float = 1.0) -> float:
        """Take `cost` tokens; 0 if there were enough, else the seconds until there are, and none is taken.

        >>> limit = RateLimit(Rate(per_s=2.0, burst=1.0))
        >>> limit.wait_s("a", 0.0), limit.wait_s("a", 0.0), limit.wait_s("b", 0.0), limit.wait_s("a", 0.5)
        (0.0, 0.5, 0.0, 0.0)
        """
        tokens, seen_s = self._buckets.pop(key, (self.rate.burst, now_s))
        tokens = min(self.rate.burst, tokens + max(0.0, now_s - seen_s) * self.rate.per_s)
        missing = cost - tokens
        self._buckets[key] = (tokens - cost if missing <= 0 else tokens, now_s)
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        return 0.0 if missing <= 0 else missing / self.rate.per_s
