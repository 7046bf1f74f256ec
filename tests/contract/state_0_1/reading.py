"""How today's code reads everything in one Redis, in the form in which `generate_on_0_1.txt` recorded it of 0.1.

Differences in form. Joins of one kind are sorted. A baseline is named by its user, since 0.1 wrote it under a
doubled prefix; a user with both has the newer one, as for the fusion agent. The line about a drift state ends before it
says whether an episode is open: 0.1 said so of drift episodes alone, and `open_episodes` has both kinds. A mute of 0.1
says of no one that they muted.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from schemas.json_records import to_plain
from schemas.settings import Settings
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, JOIN, MARK, MUTES, POOL, PRIOR, REDRIVEN, ROSTER, StateKey
from streams.drift import mutes
from streams.drift.cusum import limit
from streams.drift.detector_state import windows
from streams.drift.pooled_autocorrelation import Pool, prior_from_bytes
from streams.drift.rules import Rules
from streams.drift.user_state import open_episode, unpack
from streams.fusion.baseline import PACKED, BaselineState
from streams.fusion.join import Join
from streams.recovery import redrive, resubmit
from tests.contract.state_0_1.inputs import NOW
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore

SETTINGS = Settings.load()
THRESHOLDS_0_1 = {(1.0, 1.0): 4.518672199170122, (4.0, 2.0): 2.980277309034414}


def rules_of_0_1(**settings: float) -> Rules:
    """The rules that 0.1 derived from these settings: its thresholds, and how they rise for a young baseline."""
    loaded = Settings.load(**settings)
    rules = Rules.from_settings(loaded)
    threshold = THRESHOLDS_0_1[loaded.alerts_per_user_year, loaded.memos_per_day]
    chart = rules.chart._replace(threshold=threshold, young=0.5, correlated=5.0, whitened=0.0, phi_weight=12.0)
    return rules._replace(chart=chart)


RULES = rules_of_0_1()


async def read(url: str) -> dict[str, Any]:
    """What today's code says of everything that the Redis at `url` holds."""
    async with RedisStore(url) as store, RedisDeadlines(url) as deadlines:
        keys = [key for key in await store.find("*") if key != ROSTER.key()]
        held = {key: state for key, state in (await store.read(keys)).items() if state}
        first = await deadlines.earliest()
        waiting = await deadlines.due(NOW + timedelta(days=365), 1000)
    drift = _of(DRIFT, held)
    mark = resubmit.Mark.of(held[MARK.key()])
    return {
        "drift": {key: _summary(state) for key, state in drift.items()},
        "drift_outbox": {key: [alert.alert_id for alert in unpack(state).outbox] for key, state in drift.items()},
        "open_episodes": sorted(key for key, state in drift.items() if open_episode(state)),
        "baselines": {
            _after(row, key): _baseline(state)
            for row in (BASELINE_0_1, BASELINE)
            for key, state in _of(row, held).items()
        },
        "joins": _joins(held),
        "deadlines": {"waiting": sorted(waiting), "earliest": to_plain(first)},
        "mutes": to_plain(mutes.load(held[MUTES.key()])),
        "mark": to_plain(mark),
        "prior": prior_from_bytes(held[PRIOR.key()]),
        "pool": to_plain(Pool.from_bytes(held[POOL.key()])._asdict()),
        "redriven": {_after(REDRIVEN, key): redrive._redriven(state) for key, state in _of(REDRIVEN, held).items()},
    }


def as_read(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What 0.1 recorded, in the form of `read`."""
    return {
        **recorded,
        "drift": {key: _without_episode(line) for key, line in recorded["drift"].items()},
        "open_episodes": sorted(recorded["open_episodes"]),
        "mutes": [{**mute, "by": ""} for mute in recorded["mutes"]],
        "joins": {kind: sorted(names) for kind, names in recorded["joins"].items()},
        "baselines": {_after(BASELINE_0_1, key): told for key, told in recorded["baselines"].items()},
    }


def _of(row: StateKey, held: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key: state for key, state in held.items() if key.startswith(row.prefix)}


def _summary(state: bytes) -> str:
    """A drift state in the words of 0.1, but for its open episode."""
    user = unpack(state)
    chart, lately = user.drift.chart, windows(user.drift)
    return (
        f"stored now: {chart.n:.0f} days of baseline, mean {chart.mean:.2f}, SD {chart.sd:.2f}, "
        f"EWMA {chart.ewma:.2f}, last 7 days {lately.mean_7:.2f}, last 30 days {lately.mean_30:.2f}, "
        f"statistic {chart.up:.2f} of {limit(chart, RULES.chart):.2f}"
    )


def _without_episode(line: str) -> str:
    return line.rpartition(", ")[0]


def _after(row: StateKey, key: str) -> str:
    return key.removeprefix(row.prefix)


def _joins(held: Mapping[str, bytes]) -> dict[str, list[str]]:
    joins = defaultdict(list)
    for key, state in _of(JOIN, held).items():
        joins[_outcome(Join.from_bytes(state))].append(key.partition(":")[2])
    return {kind: sorted(names) for kind, names in joins.items()}


def _outcome(join: Join) -> str:
    if join.dead:
        return "dead"
    if join.closed_at:
        return "closed" if join.settled else "closing"
    if join.settled:
        return "settled"
    return "open" if join.missing(SETTINGS.modalities) else "complete"


def _baseline(stored: bytes) -> dict[str, Any]:
    state = BaselineState.from_bytes(stored)
    return {
        "form": "packed" if stored[:1] == PACKED else "compressed",
        "bundle": state.bundle_id,
        "memos": state.normal.memos,
        "mean": to_plain(state.normal.mean),
        "variance": to_plain(state.normal.variance),
        "seen": len(state.seen),
        "outbox": [*state.outbox],
    }
