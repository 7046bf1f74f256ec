"""Roles that are kept running: started again after growing pauses, or never when that would do harm."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import BrokerRefused, ConfigurationError, DeadLetterCapReached, Stop
from streams.local import supervisor
from streams.local.supervisor import CAPPED, CRASHED, Child, Supervisor


class World:
    """A clock, and processes that end when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.started: list[SimpleNamespace] = []

    def monotonic(self) -> float:
        return self.now

    def start(self, command: list[str], stdin: int, **given: object) -> SimpleNamespace:
        process = SimpleNamespace(command=command, code=None, asked_stdin=stdin, stdin=None, **given)
        process.poll = lambda: process.code
        self.started.append(process)
        return process


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=world.monotonic))
    monkeypatch.setattr(supervisor, "subprocess", SimpleNamespace(Popen=world.start, PIPE=subprocess.PIPE))
    return world


def one_role() -> tuple[Supervisor, Child]:
    supervised = Supervisor({"agents": ("agents",)}, {"agents": {"KAFKA_BOOTSTRAP": "a:1"}})
    return supervised, supervised.children[0]


def test_a_role_is_started_as_our_own_program_in_its_environment(world: World) -> None:
    environments = {"worker acoustic": {"PORT": "1"}, "agents": {"PORT": "2"}}
    supervised = Supervisor({"worker acoustic": ("worker", "acoustic"), "agents": ("agents",)}, environments)
    for child in supervised.children:
        supervised._tend(child)
    assert [process.command[1:] for process in world.started] == [
        ["-m", "streams.cli", "worker", "acoustic"],
        ["-m", "streams.cli", "agents"],
    ]
    assert [process.env for process in world.started] == [{"PORT": "1"}, {"PORT": "2"}]
    assert {process.asked_stdin for process in world.started} == {subprocess.PIPE}, (
        "its end tells a child that we are gone"
    )


def test_a_role_that_runs_is_left_alone(world: World) -> None:
    supervised, child = one_role()
    for _ in range(3):
        supervised._tend(child)
        world.now += 10
    assert len(world.started) == 1


def pauses_after(world: World, code: int) -> list[float]:
    """Seconds between the end of a role, which exits with this code as soon as it runs, and its next start."""
    supervised, child = one_role()
    pauses = []
    supervised._tend(child)
    for _ in range(10):
        world.started[-1].code, died_at, before = code, world.now, len(world.started)
        while len(world.started) == before:
            supervised._tend(child)
            world.now += 0.05
        pauses.append(world.now - died_at)
    return pauses


def test_a_role_that_dies_again_and_again_is_started_after_growing_pauses(world: World) -> None:
    pauses = pauses_after(world, 1)
    assert pauses[0] == pytest.approx(CRASHED.first_s, abs=0.11)
    assert all(later >= earlier - 0.11 for earlier, later in pairwise(pauses))
    assert pauses[3] == pytest.approx(8 * CRASHED.first_s, abs=0.11)
    assert pauses[-1] == pytest.approx(CRASHED.longest_s, abs=0.11)


def test_a_role_that_ran_long_is_started_at_once(world: World) -> None:
    supervised, child = one_role()
    supervised._tend(child)
    world.started[0].code = 1
    supervised._tend(child)
    assert child.pause_s > 0
    world.now += CRASHED.first_s
    supervised._tend(child)
    world.now += CRASHED.steady_s + 1
    world.started[1].code = -signal.SIGKILL
    supervised._tend(child)
    assert len(world.started) == 3
    assert child.pause_s == 0


def test_too_many_dead_letters_restart_one_role_after_longer_pauses(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pauses = pauses_after(world, DeadLetterCapReached.exit_code)
    assert pauses[:3] == pytest.approx([CAPPED.first_s, 2 * CAPPED.first_s, 4 * CAPPED.first_s], abs=0.11)
    assert pauses[-1] == pytest.approx(CAPPED.longest_s, abs=0.11)
    assert "agents exited with code 70 (too many dead letters" in caplog.messages[0]
    assert f"restarting in {CAPPED.first_s:.1f} s" in caplog.messages[0]


def test_a_role_that_loads_its_model_for_long_and_trips_again_is_not_steady(world: World) -> None:
    supervised, child = one_role()
    pauses = []
    for _ in range(4):
        world.now += child.pause_s
        supervised._tend(child)
        world.now += 10 * CRASHED.steady_s
        world.started[-1].code = DeadLetterCapReached.exit_code
        supervised._tend(child)
        pauses.append(child.pause_s)
    assert pauses == [CAPPED.first_s * 2**n for n in range(4)]


TRIPS_TWICE = """
import sys
from pathlib import Path
count = Path(sys.argv[1])
starts = int(count.read_text() or 0) + 1
count.write_text(str(starts))
if starts <= 2:
    sys.exit(70)
sys.stdin.read()
"""


async def test_a_real_process_that_trips_is_started_again_and_its_neighbour_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "CAPPED", replace(CAPPED, first_s=0.05))
    program = tmp_path / "program" / "streams" / "cli"
    program.mkdir(parents=True)
    (program / "__main__.py").write_text(TRIPS_TWICE)
    counts = {name: tmp_path / name for name in ("trips", "steady")}
    for count, before in zip(counts.values(), ("0", "2"), strict=True):
        count.write_text(before)
    environment = {**os.environ, "PYTHONPATH": str(program.parents[1]), "PYTHONSAFEPATH": "1"}
    supervised = Supervisor({n: (str(p),) for n, p in counts.items()}, dict.fromkeys(counts, environment))
    running = asyncio.create_task(supervised.run())
    try:
        async with asyncio.timeout(60):
            while [count.read_text() for count in counts.values()] != ["3", "3"]:
                assert not running.done(), running.result()
                await asyncio.sleep(0.02)
        assert all(child.process and child.process.poll() is None for child in supervised.children)
    finally:
        running.cancel()
        await supervised.stop(within_s=5)


@pytest.mark.parametrize("kind", [BrokerRefused, ConfigurationError])
def test_a_role_that_would_only_fail_again_stops_everything(world: World, kind: type[Stop]) -> None:
    supervised, child = one_role()
    supervised._tend(child)
    world.started[0].code = kind.exit_code
    with pytest.raises(Stop, match=f"agents.*{kind.exit_code}"):
        supervised._tend(child)
    assert len(world.started) == 1


@pytest.mark.parametrize("code", [0, 1, -signal.SIGKILL, 137])
def test_any_other_end_is_started_again(world: World, code: int) -> None:
    supervised, child = one_role()
    supervised._tend(child)
    world.started[0].code = code
    supervised._tend(child)
    world.now += CRASHED.first_s
    supervised._tend(child)
    assert len(world.started) == 2


async def test_running_ends_with_the_reason_that_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "POLL_S", 0.0)
    supervised, _ = one_role()
    start = world.start

    def refused(command: list[str], **given: Any) -> SimpleNamespace:
        process = start(command, **given)
        process.code = BrokerRefused.exit_code
        return process

    monkeypatch.setattr(supervisor, "subprocess", SimpleNamespace(Popen=refused, PIPE=subprocess.PIPE))
    with pytest.raises(Stop):
        await supervised.run()


POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


def process(code: str) -> "subprocess.Popen[bytes]":
    """A child that has come as far as its first line."""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    return child


async def test_children_are_asked_to_end_and_killed_when_they_do_not() -> None:
    names = ("polite", "deaf", "never started")
    supervised = Supervisor(dict.fromkeys(names, ()), {name: {} for name in names})
    polite, deaf, _ = supervised.children
    polite.process, deaf.process = process(POLITE), process(DEAF)
    await supervised.stop(within_s=0.2)
    assert (polite.process.returncode, deaf.process.returncode) == (0, -signal.SIGKILL)
    await supervised.stop(within_s=0.2)
