"""A scenario played twice, without its faults and with them, and the judge's verdict."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from schemas.events import MemoUploaded
from tests.faults.judge import Seen, Verdict, judge
from tests.faults.roles import Chronicle, Command
from tests.faults.scenario import ALONE, ROLES, Scenario, counted, without_faults
from tests.faults.world import World

SETTINGS = {
    # Few chance alarms: whether a score stands beside an open alert depends on how fast the hops follow each other.
    "UNDERTONE_ALERTS_PER_USER_YEAR": "0.25",
    "UNDERTONE_ACOUSTIC_PROCESSES": "1",
    "UNDERTONE_AUDIO_RETRY_S": "0.05",
}


class Speakers(Protocol):
    """Who speaks in a scenario."""

    @property
    def changes_at(self) -> datetime:
        """When the first changed memo is recorded."""

    def write(self, folder: Path) -> Iterable[MemoUploaded]:
        """Write the audio of all memos, and give their events in the order of their days."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario led to. steps: how often each occurred; apart: users who were counted, but not compared."""

    verdict: Verdict
    steps: Mapping[str, int]
    chronicle: Chronicle
    apart: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a scenario plays: what runs the roles, and their settings beside SETTINGS.

    quiet: settings of the quiet day that differ.
    """

    command: Command
    settings: Mapping[str, str]
    quiet: Mapping[str, str] = field(default_factory=dict)

    def day(
        self, scenario: Scenario, memos: Iterable[MemoUploaded], folder: Path, roles: Sequence[str] = ROLES
    ) -> tuple[Seen, set[str], Chronicle]:
        """Play once; what lies on the topics, what was accepted, what happened. folder: beside that of the audio."""
        settings = {**SETTINGS, **self.settings}
        with World(folder, folder.parent / "audio", memos, self.command, settings, roles=roles) as world:
            return world.play(scenario), world.accepted, world.roles.chronicle


def play(scenario: Scenario, speakers: Speakers, stage: Stage, folder: Path) -> Outcome:
    """Play a scenario beside its quiet day.

    Users whom chance alarms before anybody changes are set apart: nothing paces their memos after the alarm.
    """
    memos = _written(speakers, folder)
    calm = replace(stage, settings={**stage.settings, **stage.quiet})
    expected, accepted, _ = calm.day(without_faults(scenario), memos, folder / "quiet", ALONE)
    quiet = judge(expected, expected, accepted)
    assert not any(quiet.faults.values()), f"on a quiet day: {quiet.faults}"
    apart = {alert["user_id"] for alert in expected.alerts if alert["at"] < speakers.changes_at}
    began = time.monotonic()
    seen, accepted, chronicle = stage.day(scenario, memos, folder / "day")
    verdict = judge(seen, expected, accepted, apart)
    return Outcome(verdict, counted(scenario), chronicle, len(apart), time.monotonic() - began)


def play_alone(scenario: Scenario, speakers: Speakers, stage: Stage, folder: Path) -> Outcome:
    """Play a scenario that no quiet day can stand beside, because it loses what scores are made from: only count."""
    memos = _written(speakers, folder)
    began = time.monotonic()
    seen, accepted, chronicle = stage.day(scenario, memos, folder / "day", ALONE)
    users = {memo.user_id for memo in memos}
    verdict = judge(seen, seen, accepted, users)
    return Outcome(verdict, counted(scenario), chronicle, len(users), time.monotonic() - began)


def _written(speakers: Speakers, folder: Path) -> list[MemoUploaded]:
    (folder / "audio").mkdir()
    return list(speakers.write(folder / "audio"))
