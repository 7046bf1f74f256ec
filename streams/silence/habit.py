"""How long a person usually pauses between two memos, and from when on a pause is a silence. Pure.

A pause is the time from one memo's upload to the next one's. Pauses of less than SESSION_DAYS belong to one session and
do not count, so bursts of memos change nothing. The last KEPT pauses are kept, one byte each.

The limit follows from the budget of false alerts. With n pauses, the largest k of them above a threshold u, and p the
probability of a longer pause that the budget allows, a pause of more than

    u + S ((k / (n p))^(1/k) − 1),    S: the sum of the k excesses over u, and PRIOR_DAYS

is a silence: the excesses over a high threshold are exponential with an unknown mean, and this is what they predict for
one more. Nothing is assumed of shorter pauses, so that a daily, a weekly or a weekday habit, and one of bursts, each
have the limit of their own longest pauses; few pauses widen it.
Source of taking the excesses alone: Pickands 1975, "Statistical Inference Using Extreme Order Statistics".
"""

from math import expm1, inf, log, log2

SESSION_DAYS = 0.5
"""Memos less than this apart are one session: the shortest pause."""
KEPT = 96
"""Pauses that are remembered: three months of a daily habit, two years of a weekly one."""
FEWEST = 10
"""With fewer pauses there is no habit, and no silence."""
SHORTEST_DAYS = 3.0
"""No shorter pause is a silence."""
USUAL_SHARE = 0.1
"""Share of pauses that are longer than a usual one."""
TIMES_USUAL = 2.0
"""No pause of less than so many usual ones is a silence."""
TAIL_SHARE, TAIL_FEWEST = 0.05, 3
"""Share of the pauses that are the longest ones, k, and the least of them."""
PRIOR_DAYS = 1.0
"""Added to the excesses: the next pause may differ although all so far were alike."""
SAFETY = 0.6
"""Share of the budget that the limit plans with: real pauses have heavier tails than exponential ones. Chosen by
`tests/benchmarks/silence.py`."""
YEAR_DAYS = 365.25
STEPS = 24.0
"""Steps of a stored pause to its double: it is known to 1.5 %."""


def with_pause(pauses: bytes, days: float) -> bytes:
    """The pauses with one more, the oldest ones forgotten; unchanged for one within a session.

    >>> [round(days) for days in days_of(with_pause(with_pause(b"", 7.0), 0.1))]
    [7]
    """
    if days < SESSION_DAYS:
        return pauses
    code = min(round(STEPS * log2(days / SESSION_DAYS)), 255)
    return pauses[-(KEPT - 1) :] + bytes((code,))


def days_of(pauses: bytes) -> list[float]:
    """The stored pauses in days, oldest first."""
    return [_DAYS[code] for code in pauses]


def usual_days(pauses: bytes) -> float:
    """The pause that nine of ten stay below, in days; infinite without a habit."""
    if len(pauses) < FEWEST:
        return inf
    return _DAYS[sorted(pauses, reverse=True)[int(len(pauses) * USUAL_SHARE)]]


def limit_days(pauses: bytes, alerts_per_year: float) -> float:
    """The pause from which on it is a silence, in days; infinite without a habit, and for a budget of 0.

    alerts_per_year: false alerts that are accepted of this person in a year.
    """
    n = len(pauses)
    if n < FEWEST or alerts_per_year <= 0.0:
        return inf
    longest_first = [_DAYS[code] for code in sorted(pauses, reverse=True)]
    k = max(TAIL_FEWEST, round(n * TAIL_SHARE))
    threshold = longest_first[k]
    excesses = sum(longest_first[:k]) - k * threshold + PRIOR_DAYS
    allowed = SAFETY * alerts_per_year * (sum(longest_first) / n) / YEAR_DAYS
    ratio = max(1.0, k / (n * allowed))
    limit = threshold + excesses * expm1(log(ratio) / k)
    return max(limit, SHORTEST_DAYS, TIMES_USUAL * longest_first[int(n * USUAL_SHARE)])


_DAYS: tuple[float, ...] = tuple(SESSION_DAYS * 2.0 ** (code / STEPS) for code in range(256))
