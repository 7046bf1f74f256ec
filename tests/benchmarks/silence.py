"""Whether silence keeps its budget: `python -m tests.benchmarks.silence` writes results/silence.md.

Made-up people with regular and irregular habits speak for three years by the agent's own functions, without ever
falling silent: every silence that is raised is false. Then they fall silent for good, and the days until it is raised
are counted. Last, a whole platform stops for some days.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streams.silence.habit import SHORTEST_DAYS, limit_days
from streams.silence.platform import Outages, surveyed
from streams.silence.quiet import DAY_S, Quiet, due_s, heard
from tests.benchmarks.machine import provenance

RESULTS = Path(__file__).parent / "results"
PEOPLE, YEARS, YEAR = 120, 3, 365
BUDGETS = (0.2, 0.5, 1.0)
DEFAULT = 0.5
COOLDOWN_S = 7 * DAY_S
START_S = 1.7e9
OUTAGES_DAYS, WATCHED_DAYS = (2, 4, 7, 21), 50
Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
"""Days of one person's uploads, ascending, for so many days."""


def _daily(missed: float) -> Draw:
    def draw(rng: np.random.Generator, days: int) -> Array:
        spoken = np.flatnonzero(rng.random(days) >= missed)
        return spoken + 0.4 + rng.normal(0, 0.05, len(spoken))

    return draw


def _renewal(pause: Callable[[np.random.Generator, int], Array]) -> Draw:
    def draw(rng: np.random.Generator, days: int) -> Array:
        at = np.cumsum(np.maximum(pause(rng, 3 * days + 50), 0.02))
        return at[at < days]

    return draw


def _several(rng: np.random.Generator, days: int) -> Array:
    at = np.sort(np.arange(days).repeat(3) + rng.uniform(0.3, 0.95, 3 * days))
    return at[rng.random(len(at)) < 0.7]


def _weekdays(rng: np.random.Generator, days: int) -> Array:
    spoken = np.flatnonzero((np.arange(days) % 7 < 5) & (rng.random(days) > 0.1))
    return spoken + 0.4 + rng.normal(0, 0.05, len(spoken))


def _bursts(rng: np.random.Generator, days: int) -> Array:
    at, day = [], 0.0
    while day < days:
        count = 1 + rng.poisson(4)
        at += [day + i + rng.normal(0, 0.05) for i in range(count)]
        day += count + rng.uniform(4, 14)
    found = np.sort(np.array(at))
    return found[(found >= 0) & (found < days)]


def _phases(rng: np.random.Generator, days: int) -> Array:
    """Weeks of daily memos and weeks of few, each about a fortnight long."""
    at, day, active, until = [], 0.0, True, rng.exponential(14)
    while day < days:
        if day > until:
            active, until = not active, day + rng.exponential(14)
        day += max(1 + rng.normal(0, 0.05) if active else rng.exponential(3.5), 0.02)
        at.append(day)
    return np.array(at)[:-1]


def _moods(rng: np.random.Generator, days: int) -> Array:
    """Pauses whose logarithms correlate by 0.7 with the pause before."""
    at, day, level = [], 0.0, 0.0
    while day < days:
        level = 0.7 * level + rng.normal(0, 0.6 * np.sqrt(1 - 0.49))
        day += max(1.5 * np.exp(level), 0.02)
        at.append(day)
    return np.array(at)[:-1]


HABITS: Mapping[str, Draw] = {
    "every day, 1 in 20 missed": _daily(0.05),
    "every day, 1 in 5 missed": _daily(0.2),
    "every other day, at random": _daily(0.5),
    "about two a day, at any hour": _several,
    "Monday to Friday, 1 in 10 missed": _weekdays,
    "every week, ± 0.7 days": _renewal(lambda rng, n: 7 + rng.normal(0, 0.7, n)),
    "every week, 15 % missed": _renewal(lambda rng, n: 7 * rng.geometric(0.85, n) + rng.normal(0, 0.7, n)),
    "five days in a row, then 4 to 14 days' pause": _bursts,
    "irregular: exponential, mean 2 days": _renewal(lambda rng, n: rng.exponential(2, n)),
    "irregular: exponential, mean 5 days": _renewal(lambda rng, n: rng.exponential(5, n)),
    "irregular: Weibull, shape 0.7": _renewal(lambda rng, n: 2 * rng.weibull(0.7, n)),
    "irregular: log-normal, median 2 days, σ 1": _renewal(lambda rng, n: 2 * np.exp(rng.normal(0, 1, n))),
    "irregular: Pareto, exponent 2.5": _renewal(lambda rng, n: 1 + rng.pareto(2.5, n)),
    "fortnights of daily and of few memos": _phases,
    "pauses that correlate, 0.7": _moods,
}


def spoken(days: Array, budget: float) -> tuple[list[float], list[Quiet]]:
    """The days at which silences were raised of one person, and the state after every memo."""
    quiet, raised, states = Quiet(), [], []
    for number, day in enumerate(days):
        at_s = START_S + day * DAY_S
        if at_s - quiet.heard_s > SHORTEST_DAYS * DAY_S and (due := due_s(quiet, budget)) < at_s:
            raised.append((due - START_S) / DAY_S)
        quiet = heard(quiet, str(number), at_s, at_s, budget, COOLDOWN_S)
        states.append(quiet)
    return raised, states


def row(name: str, draw: Draw, budget: float, seed: int) -> str:
    """One line of the table of habits."""
    rng = np.random.default_rng(seed)
    counts, limits = [], []
    for _ in range(PEOPLE):
        days = draw(rng, YEARS * YEAR)
        raised, states = spoken(days, budget)
        counts.append([sum(day < YEAR for day in raised), sum(day >= YEAR for day in raised) / (YEARS - 1)])
        young = next((state for state in states if len(state.pauses) == 30), states[-1])
        limits.append([limit_days(young.pauses, budget), limit_days(states[-1].pauses, budget)])
    rates, spread = np.mean(counts, 0), np.std(counts, 0) / np.sqrt(PEOPLE)
    young_days, old_days = np.median(limits, 0)
    first, later = (f"{rate:.2f} (≤ {rate + 1.96 * error:.2f})" for rate, error in zip(rates, spread, strict=True))
    return f"{name} | {budget:g} | {first} | {later} | {young_days:.1f} | {old_days:.1f}"


def outage_row(days: int, share: float, seed: int) -> str:
    """People of all habits, of whom a share is not heard for some days: who is raised, with and without the survey."""
    rng = np.random.default_rng(seed)
    begins, size, looks = 400.0, 300, 2
    names = [name for name in HABITS for _ in range(size // len(HABITS))]
    people = [HABITS[name](rng, 500) for name in names]
    hit = rng.random(len(people)) < share
    kept = [at[(at < begins) | (at > begins + days)] if out else at for at, out in zip(people, hit, strict=True)]
    states = [spoken(at, DEFAULT)[1] for at in kept]
    counts = {}
    for careful in (True, False):
        outages, raised = Outages(), set[tuple[int, int]]()
        for look in range(looks * WATCHED_DAYS):
            now = begins + look / looks
            known = [int(np.searchsorted(at, now)) for at in kept]
            quiets = [state[count - 1] if count else Quiet() for state, count in zip(states, known, strict=True)]
            now_s = START_S + now * DAY_S
            survey = surveyed(quiets, now_s)
            outages = outages.seen(survey, now_s) if careful else outages
            for person, quiet in enumerate(quiets):
                limit = limit_days(quiet.pauses, DEFAULT)
                scale = survey.scale_of(limit)
                if scale is None or not quiet.heard_s:
                    continue
                due = max(due_s(quiet, DEFAULT), outages.last_s[scale] + limit * DAY_S)
                if due <= now_s:
                    raised.add((person, known[person]))
        counts[careful] = len(raised)
    return f"{days} | {share:.0%} | {len(people)} | {counts[True]} | {counts[False]}"


def main() -> None:
    """Simulate and write the result."""
    lines = [
        "# Silence, and its budget",
        "",
        provenance("python -m tests.benchmarks.silence"),
        "",
        f"{PEOPLE} people of each habit speak for {YEARS} years and never stop. B: silence alerts that are accepted of "
        "a person in a year (`UNDERTONE_SILENCE_ALERTS_PER_USER_YEAR`). Then: false silence alerts of a person in the "
        "first year, which begins without any habit, and in the years after (with the upper 95 % confidence bound); "
        "and the median days without a memo after which a real silence is raised, after 30 pauses and at the end.",
        "",
        "habit | B | first year | later | days, young | days, old",
        "---|---|---|---|---|---",
    ]
    for seed, (name, draw) in enumerate(HABITS.items()):
        lines += [row(name, draw, budget, seed) for budget in BUDGETS]
    lines += [
        "",
        "## A platform that stops",
        "",
        "People of all these habits together, of whom a share cannot upload for some days. Silences raised from "
        f"the first day of it on, in {WATCHED_DAYS} days, with the survey of all people and without.",
        "",
        "days | share | people | raised | without the survey",
        "---|---|---|---|---",
    ]
    lines += [outage_row(days, share, days) for share in (0.0, 1.0) for days in OUTAGES_DAYS]
    lines += [outage_row(7, share, 7) for share in (0.8, 0.3)]
    (RESULTS / "silence.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
