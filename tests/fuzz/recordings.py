"""Fuzzed recordings through the decoder of production, within its limits."""

import resource
import time
from dataclasses import dataclass
from random import Random

from schemas.errors import Poison
from schemas.settings import Settings
from tests.fuzz.containers import fuzzed
from workers.audio.load import load_bytes

MOST_CPU_S = 60.0
"""CPU seconds that any recording may take."""
MOST_REAL_TIME = 2.0
"""CPU seconds a second of sound, for recordings that are longer than half a minute."""


@dataclass(frozen=True, slots=True)
class Heard:
    """fault: empty if there is none; reason: of its dead letter, or `scored`; cpu_s: of this process and its
    children; length_s: of the sound that came out.
    """

    fault: str
    reason: str
    cpu_s: float
    length_s: float


def recording(rng: Random) -> bytes:
    """A recording that is wrong in some way."""
    return fuzzed(rng)[1]


def heard(data: bytes) -> Heard:
    """Decode it as a worker does. Kills this process where the decoder does: run it in one that may die."""
    settings, began = Settings.load(), _cpu_s()
    fault, length_s = "", 0.0
    try:
        memo = load_bytes(data, settings)
        length_s, reason = len(memo[0]) / 16_000, "scored"
    except Poison as poison:
        reason = poison.reason
    except Exception as error:
        reason, fault = "", f"raises {type(error).__name__}"
    cpu_s = _cpu_s() - began
    if cpu_s > max(MOST_CPU_S, MOST_REAL_TIME * length_s):
        fault = fault or "takes too long"
    return Heard(fault, reason, cpu_s, length_s)


def smaller(data: bytes, fault: str, within_s: float) -> bytes:
    """The recording without what its fault does not need, as far as it was found in the time."""
    until, piece = time.monotonic() + within_s, len(data) // 2
    while piece >= 1 and time.monotonic() < until:
        at = 0
        while at < len(data) and time.monotonic() < until:
            fewer = data[:at] + data[at + piece :]
            if heard(fewer).fault == fault:
                data = fewer
            else:
                at += piece
        piece //= 2
    return data


def _cpu_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
