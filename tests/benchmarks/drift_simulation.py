"""The charts and episodes of many users, memo by memo: what makes the shipped thresholds.

The charts are those of `streams.drift.cusum` itself, compiled. What `streams.drift.detector` and the drift half of
`streams.drift.episodes` do with them is written down once more, for memos that come in order;
`tests/unit/streams/drift/test_simulation.py` holds it to the agent's code on the same data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import njit, types
from numba.extending import overload_method, register_jitable
from numpy.typing import NDArray

from streams.drift import cusum, episodes
from streams.drift.cusum import Chart, ChartRules

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Charts: TypeAlias = dict[str, Array]
"""Fields of `Chart`, each (users,)."""

ESCALATES_AT, PASSED_AT, RECOVERED_AT = episodes.ESCALATES_AT, episodes.PASSED_AT, episodes.RECOVERED_AT
LONGEST_S = episodes.LONGEST_S
NOTHING, RAISED, ESCALATED, RECOVERED, SETTLED = range(5)


@dataclass(frozen=True, slots=True)
class History:
    """What happened, memo by memo: raised, escalated and resolved are (days, memos a day, users)."""

    raised: Flags
    escalated: Flags
    resolved: Flags
    last: Charts


class Episode(NamedTuple):
    """An episode as `streams.drift.episodes` has it. opened_s: negative when none is open."""

    opened_s: float
    quiet_until_s: float
    escalated: bool


def simulate(logits: Array, rules: ChartRules, cooldown_s: float, days: Array | None = None) -> History:
    """Follow every user through all memos. logits: (days, memos a day, users); days: their numbers, 0, 1, … if None."""
    n_days, _, users = logits.shape
    numbers = np.asarray(np.arange(n_days) * rules.spacing if days is None else days, np.float64)
    by_user = np.ascontiguousarray(np.moveaxis(logits, 2, 0))
    steps, last = np.zeros(by_user.shape, np.int8), np.zeros((users, len(Chart._fields)))
    _follow(by_user, numbers, ChartRules(*map(float, rules)), float(cooldown_s), steps, last)
    steps = np.moveaxis(steps, 0, 2)
    charts = dict(zip(Chart._fields, last.T, strict=True))
    return History(steps == RAISED, steps == ESCALATED, steps >= RECOVERED, charts)


def _replacing(chart: Any, **given: Any) -> Callable[..., Chart]:
    """`Chart._replace` for the compiler, which knows tuples by position only: made for the fields that are given."""
    changed = {name for name, kind in given.items() if kind is not None and not isinstance(kind, types.Omitted)}
    values = (f"float({name})" if name in changed else f"chart.{name}" for name in Chart._fields)
    made: dict[str, Any] = {"Chart": Chart}
    exec(f"def replace(chart, {_OPTIONAL}): return Chart({', '.join(values)})", made)
    return made["replace"]  # type: ignore[no-any-return]


_OPTIONAL = ", ".join(f"{name}=None" for name in Chart._fields)
_GIVEN = ", ".join(f"{name}={name}" for name in Chart._fields)
overload_method(types.NamedUniTuple, "_replace")(
    eval(f"lambda chart, {_OPTIONAL}: _replacing(chart, {_GIVEN})", {"_replacing": _replacing})
)
for _function in vars(cusum).copy().values():
    if getattr(_function, "__module__", "") == cusum.__name__ and not isinstance(_function, type):
        register_jitable(_function)


@njit(nogil=True)
def _follow(
    logits: Array, numbers: Array, rules: ChartRules, cooldown_s: float, steps: NDArray[np.int8], last: Array
) -> None:
    """Fill in the steps of every user, (users, days, memos a day), and the charts after the last memo."""
    users, days, memos = logits.shape
    for u in range(users):
        chart = _new(rules.phi)
        episode = Episode(-1.0, 0.0, False)
        for d in range(days):
            before, total, count = chart, 0.0, 0
            for j in range(memos):
                # Millionths, as the agent rounds them, so that the two can be held together exactly.
                total, count = total + np.rint(logits[u, d, j] * 1e6), count + 1
                chart = cusum.step(before, numbers[d], total / (1e6 * count), count, rules)
                at_s = round((numbers[d] + j / memos) * 86400.0, 3)
                happened = _happened(chart, episode, at_s, rules)
                if happened != NOTHING:
                    steps[u, d, j] = happened
                    episode = _after(episode, happened, at_s, cooldown_s)
                    if happened != ESCALATED:
                        chart = _mended(chart, happened)
                        before, total, count = chart, 0.0, 0
        last[u] = np.array(chart)


@register_jitable
def _new(phi: float) -> Chart:
    return Chart(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, phi)


@register_jitable
def _happened(chart: Chart, episode: Episode, at_s: float, rules: ChartRules) -> int:
    threshold = cusum.limit(chart, rules)
    if episode.opened_s < 0:
        return RAISED if chart.up > threshold and at_s >= episode.quiet_until_s else NOTHING
    if chart.up > ESCALATES_AT * threshold and not episode.escalated:
        return ESCALATED
    if chart.down > (RECOVERED_AT if episode.escalated else PASSED_AT):
        return RECOVERED
    return SETTLED if at_s >= episode.opened_s + LONGEST_S else NOTHING


@register_jitable
def _after(episode: Episode, happened: int, at_s: float, cooldown_s: float) -> Episode:
    if happened == RAISED:
        return Episode(at_s, episode.quiet_until_s, False)
    if happened == ESCALATED:
        return Episode(episode.opened_s, episode.quiet_until_s, True)
    return Episode(-1.0, at_s + cooldown_s, False)


@register_jitable
def _mended(chart: Chart, happened: int) -> Chart:
    """The chart as an episode that begins or ends leaves it."""
    if happened == RAISED:
        return cusum.raise_episode(chart)
    return cusum.end_episode(chart) if happened == RECOVERED else cusum.settle_at_new_level(chart)
