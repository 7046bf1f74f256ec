"""Whether this machine's clock agrees with those of Redis and of the brokers."""

import time
from typing import Any

from redis import exceptions

from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, failed, ok, skipped, warning
from streams.doctor.kafka.partitioner import SAMPLES
from streams.doctor.redis_server import CLIENT

WRONG_S = 30.0
"""A clock that is farther off is wrong: deadlines, ages and alerts are dated by it."""
OFF_S = 2.0
"""A clock that NTP keeps is nearer than this."""
FIX = "let NTP or chrony set the clocks of all machines"


async def clock(patient: Patient) -> Finding:
    """Redis' TIME against ours, and the brokers' time on the newest records."""
    if (client := patient.known.get(CLIENT)) is not None and (ahead_s := await _redis_ahead_s(client)) is not None:
        return judged(ahead_s, "Redis")
    if records := patient.known.get(SAMPLES):
        # The newest record may be old, so only a broker that is ahead shows.
        ahead_s = max(record.timestamp for record in records) / 1000 - time.time()
        if ahead_s > OFF_S:
            return judged(ahead_s, "the broker")
        return ok("no record of the broker is dated after this machine's time")
    return skipped("neither Redis nor a record of the broker gives a time to compare with")


async def _redis_ahead_s(client: Any) -> float | None:
    """Seconds that Redis' clock is ahead of ours, less what the answer took; None where this user may not ask."""
    before = time.time()
    try:
        seconds, micros = await client.time()
    except (exceptions.RedisError, OSError):
        return None
    after, told = time.time(), seconds + micros / 1e6
    return float(min(told - before, 0.0) if told < before else max(told - after, 0.0))


def judged(ahead_s: float, other: str) -> Finding:
    """What a difference of clocks means. ahead_s: of the other clock."""
    if abs(ahead_s) <= OFF_S:
        return ok(f"agrees with {other}")
    text = f"this machine's clock is {abs(ahead_s):,.0f} s {'behind' if ahead_s > 0 else 'ahead of'} {other}"
    return failed(text, FIX) if abs(ahead_s) > WRONG_S else warning(text, FIX)
