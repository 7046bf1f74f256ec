"""A parade: good memos in their order, and poisons anywhere among them."""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from schemas.events import MemoUploaded
from schemas.settings import Settings
from tests.faults.parade.crowd import Crowd, noise
from tests.faults.parade.judge import Day, Memo, Verdict, judge
from tests.faults.parade.world import World
from tests.faults.poisons import avro
from tests.faults.poisons.poison import Kitchen, Poison
from tests.faults.poisons.table import poisons
from tests.unit.schemas.registry_server import registry_server
from workers.privacy.keyring import Keyring

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


def parade(crowd: Crowd, seed: int, folder: Path, only: str = "", *, sealed: bool = False) -> Parade:
    """March twice. only: the poisons whose name has this in it; sealed: all but the quiet day."""
    audio = folder / "audio"
    audio.mkdir()
    memos = list(crowd.write(audio))
    good = [(memo.user_id, memo.memo_id) for memo in memos]
    with registry_server() as registry, ExitStack() as exits:
        keyring = None
        plain = {"SCHEMA_REGISTRY_URL": registry.url}
        settings = {**plain, "UNDERTONE_SEAL": "on", "UNDERTONE_HOME": str(folder / "home")} if sealed else plain
        if sealed:
            keyring = Keyring.open(Settings.load(seal="on", home=folder / "home"))
            exits.callback(keyring.close)
        kitchen = Kitchen(audio, noise(np.random.default_rng(seed)), registry, keyring)
        rows = [row for row in poisons(kitchen) if only in row.name]
        quiet = march(memos, (), Random(seed), folder / "quiet", audio, plain, crowd.changed)
        day = march(memos, rows, Random(seed), folder / "day", audio, settings, crowd.changed)
    return Parade(len(memos), rows, quiet, day, judge(day, quiet, good))


def march(
    memos: Sequence[MemoUploaded],
    rows: Sequence[Poison],
    rng: Random,
    folder: Path,
    audio: Path,
    settings: Mapping[str, str],
    paced: Collection[date],
) -> Day:
    """Send everything, wait until all are through, end the roles; what it came to.

    settings: of the roles; paced: days before which everything is waited for. An open episode freezes the baseline, so
    what a score is after an alert depends on how soon it comes.
    """
    order: list[MemoUploaded | Poison] = list(memos[1:])
    for row in rows:
        if not row.alone:
            order.insert(rng.randrange(len(order) + 1), row)
    with World(folder, audio, settings) as world:
        for row in rows:
            if row.alone:
                world.send(row)
                world.wait_until(world.met, PATIENCE_S)
        # Once the first memo is scored all roles read: what follows measures no start.
        world.upload(memos[0])
        world.wait_until(lambda: world.settled({_whose(memos[0])}), PATIENCE_S)
        began = time.monotonic()
        for number in range(LISTENERS):
            listener = avro.alert(f"listener-{number}", f"alert-{number}")
            world.produce("risk.alerts", listener["user_id"].encode(), avro.framed("risk_alert", listener))
        _send(world, order, paced)
        world.wait_until(lambda: world.scored() >= set(map(_whose, memos)), PATIENCE_S)
        good_s = time.monotonic() - began
        if not world.wait_until(world.met, PATIENCE_S):
            print(world.roles.told(), flush=True)
        footprint = world.footprint()
        world.leave(PATIENCE_S)
        return world.day(good_s, footprint)


def _send(world: World, order: Sequence[MemoUploaded | Poison], paced: Collection[date]) -> None:
    """Send memos and poisons in their order; everything is through before the first memo of a paced day."""
    sent: set[Memo] = set()
    day: date | None = None
    for each in order:
        if isinstance(each, Poison):
            world.send(each)
        else:
            if each.recorded_at.date() != day and (day := each.recorded_at.date()) in paced:
                world.wait_until(partial(world.settled, frozenset(sent)), PATIENCE_S)
            world.upload(each)
            sent.add(_whose(each))
        world.roles.tend()
    world.flush()


def _whose(memo: MemoUploaded) -> Memo:
    return memo.user_id, memo.memo_id
