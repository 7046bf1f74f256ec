"""`python -m tests.faults NAME...`: play scenarios by name, print each verdict, and end with 1 when one has a fault.

`make chaos` plays `long`, `real`, `empty` and `sealed`, and keeps the verdicts in tests/benchmarks/results/chaos.md.
With `--sealed` any scenario is played with sealing on, beside a quiet day in clear.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.faults.cohort import Cohort
from tests.faults.play import Outcome, Speakers, Stage, play, play_alone
from tests.faults.report import report
from tests.faults.roles import END_S, cheap, real
from tests.faults.scenario import (
    Freeze,
    KillRedis,
    Pause,
    Plan,
    Scenario,
    Settled,
    StartEmptyRedis,
    Step,
    Thaw,
    Upload,
    told,
)
from tests.faults.voices import Voices

SESSION_S = 4.0
SEALED, CLEAR = {"UNDERTONE_SEAL": "on"}, {"UNDERTONE_SEAL": "off"}
FAULTS_OF_EMPTY = ("lost", "several", "uninvited")
"""What must be nothing even when Redis forgets everything."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One scenario. scenario: made of a generator; faults: which of the judge's must be nothing."""

    scenario: Callable[[Random], Scenario]
    speakers: Speakers
    stage: Stage
    play: Callable[[Scenario, Speakers, Stage, Path], Outcome]
    faults: tuple[str, ...] = (*FAULTS_OF_EMPTY, "contradicting", "wrong")


def by_plan(plan: Plan) -> Callable[[Random], Scenario]:
    """Scenarios of a plan."""
    return lambda rng: told(plan, SESSION_S, rng)


def forgetting(rng: Random) -> Scenario:
    """Redis loses everything while memos are under way, twice; then the last memos' first parts, and their second."""
    loss: list[Step] = [KillRedis(), StartEmptyRedis()]
    return [
        Upload(20), Settled(), Upload(100), Pause(round(rng.uniform(0, 1), 2)), *loss,
        Upload(100), Pause(round(rng.uniform(0, 1), 2)), *loss, Settled(),
        Freeze("embedding-0"), Upload(50), Pause(SESSION_S / 2), *loss,
        Thaw("embedding-0"), Pause(SESSION_S / 2), *loss, Settled(),
    ]  # fmt: skip


TELLINGS = {
    "short": Telling(
        by_plan(
            Plan(
                calm=300, waves=6, wave=10, kills=4, freezes=1, joins=1, broker_restarts=1, redis_restarts=1, cuts=1,
                breaks=1, outages=1, clocks=1,
            )
        ),
        Cohort(users=10, changing=3, calm_days=30, changed_days=6, poison_every=50),
        Stage(cheap, {}),
        play,
    ),
    "sealed": Telling(
        by_plan(Plan(calm=300, waves=6, wave=10, kills=4, broker_restarts=1, redis_restarts=1, cuts=1, breaks=1)),
        Cohort(users=10, changing=3, calm_days=30, changed_days=6, poison_every=50),
        Stage(cheap, SEALED),
        play,
    ),
    "empty": Telling(
        forgetting,
        Cohort(users=10, changing=0, calm_days=27, changed_days=0),
        Stage(cheap, {"UNDERTONE_JOIN_TIMEOUT_S": "15"}),
        play_alone,
        FAULTS_OF_EMPTY,
    ),
    "real": Telling(
        by_plan(Plan(calm=180, waves=6, wave=10, kills=4, broker_restarts=1, redis_restarts=1)),
        Voices(users=10, changing=3, calm_days=18, changed_days=6, seconds=4.0),
        Stage(real, {}),
        play,
    ),
    "long": Telling(
        by_plan(
            Plan(
                calm=1520, waves=12, wave=40, kills=20, freezes=3, joins=3, broker_restarts=2, redis_restarts=2,
                cuts=4, breaks=2, outages=2, clocks=4,
            )
        ),
        Cohort(users=40, changing=10, calm_days=38, changed_days=12, poison_every=50),
        Stage(cheap, {}),
        play,
    ),
}  # fmt: skip


def tell(name: str, seed: int, settings: Mapping[str, str]) -> tuple[Outcome, bool]:
    """Play a scenario by name; its outcome, and whether nothing is wrong. settings: beside those of its stage."""
    telling = TELLINGS[name]
    stage = replace(telling.stage, settings={**telling.stage.settings, **settings}, quiet=CLEAR)
    with tempfile.TemporaryDirectory(prefix="undertone-chaos-") as folder:
        outcome = telling.play(telling.scenario(Random(seed)), telling.speakers, stage, Path(folder))
    faults = outcome.verdict.faults
    good = not any(faults[fault] for fault in telling.faults) and max(outcome.chronicle.ends_s) < END_S
    return outcome, good


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*TELLINGS])
    parser.add_argument("--seed", type=int, help="of the scenarios; another one every time, and printed, if left out")
    parser.add_argument("--sealed", action="store_true", help="seal everything but the quiet days")
    parser.add_argument("--report", type=Path, help="a Markdown file for the verdicts")
    arguments = parser.parse_args()
    seed = time.time_ns() % 100_000 if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    settings, how = (SEALED, ", sealed") if arguments.sealed else ({}, "")
    outcomes = {f"{name}{how}": tell(name, seed, settings) for name in arguments.names}
    for name, (outcome, good) in outcomes.items():
        print(f"{name}, seed {seed}: {'good' if good else outcome}")
        verdict = outcome.verdict
        counts = {key: getattr(verdict, key) for key in ("accepted", "scored", "dead", "alerts", "repeated")}
        print(json.dumps({"scenario": name, "good": good, **counts, **verdict.faults}), flush=True)
    if arguments.report:
        report(arguments.report, seed, {name: outcome for name, (outcome, _) in outcomes.items()})
    return 0 if all(good for _, good in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
