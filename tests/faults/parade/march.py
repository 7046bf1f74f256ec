"""A parade: good memos in their order, and poisons anywhere among them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from schemas.events import MemoUploaded
from tests.faults.parade.crowd import Crowd, noise
from tests.faults.parade.judge import Day, Verdict, judge
from tests.faults.parade.world import World
from tests.faults.poisons import avro
from tests.faults.poisons.poison import Kitchen, Poison
from tests.faults.poisons.table import poisons
from tests.unit.schemas.registry_server import registry_server

PATIENCE_S = 150.0
LISTENERS = 6
"""Good alerts that wait for the bridge beside those of the agents."""


@dataclass(frozen=True, slots=True)
class Parade:
    """Two days of the same good memos. good: how many; rows: of the table; quiet and day: with and without poisons."""

    good: int
    rows: Sequence[Poison]
    quiet: Day
    day: Day
    verdict: Verdict

    @property
    def throughput(self) -> float:
        """Good memos a second beside poisons, as a share of the quiet day's."""
        return self.quiet.good_s / self.day.good_s


def parade(crowd: Crowd, seed: int, folder: Path, only: str = "") -> Parade:
    """March twice. only: the poisons whose name has this in it."""
    audio = folder / "audio"
    audio.mkdir()
    memos = list(crowd.write(audio))
    good = [(memo.user_id, memo.memo_id) for memo in memos]
    with registry_server() as registry:
        kitchen = Kitchen(audio, noise(np.random.default_rng(seed)), registry)
        rows = [row for row in poisons(kitchen) if only in row.name]
        quiet = march(memos, (), Random(seed), folder / "quiet", audio, registry.url)
        day = march(memos, rows, Random(seed), folder / "day", audio, registry.url)
    return Parade(len(memos), rows, quiet, day, judge(day, quiet, good))


def march(
    memos: Sequence[MemoUploaded], rows: Sequence[Poison], rng: Random, folder: Path, audio: Path, registry: str
) -> Day:
    """Send everything, wait until all are through, end the roles; what it came to. registry: its address."""
    ahead, first = [row for row in rows if row.alone], memos[0]
    order: list[MemoUploaded | Poison] = list(memos[1:])
    for row in rows:
        if not row.alone:
            order.insert(rng.randrange(len(order) + 1), row)
    good = {(memo.user_id, memo.memo_id) for memo in memos}
    with World(folder, audio, {"SCHEMA_REGISTRY_URL": registry}) as world:
        for row in ahead:
            world.send(row)
            world.flush()
            world.wait_until(world.met, PATIENCE_S)
        # From here on all roles read: what follows measures no start.
        world.upload(first)
        world.wait_until(lambda: (first.user_id, first.memo_id) in world.scored(), PATIENCE_S)
        began = time.monotonic()
        for number in range(LISTENERS):
            listener = avro.alert(f"listener-{number}", f"alert-{number}")
            world.produce("risk.alerts", listener["user_id"].encode(), avro.framed("risk_alert", listener))
        world.flush()
        for each in order:
            if isinstance(each, Poison):
                world.send(each)
            else:
                world.upload(each)
            world.roles.tend()
        world.flush()
        world.wait_until(lambda: good <= world.scored(), PATIENCE_S)
        good_s = time.monotonic() - began
        if not world.wait_until(world.met, PATIENCE_S):
            print(world.roles.told(), flush=True)
        footprint = world.footprint()
        world.leave(PATIENCE_S)
        return world.day(good_s, footprint)
