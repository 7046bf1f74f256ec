"""Roles that are kept running: started again after growing pauses, or never when that would do harm."""

import signal
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

from schemas.errors import BrokerRefused, ConfigurationError, DeadLetterCapReached, Stop
from streams.local import supervisor
from streams.local.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Child, Supervisor


class World:
    """A clock, and processes that end when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.started: list[SimpleNamespace] = []

    def monotonic(self) -> float:
        return self.now

    def start(self, command: list[str], **given: object) -> SimpleNamespace:
        process = SimpleNamespace(command=command, code=None, **given)
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
    assert {process.stdin for process in world.started} == {subprocess.PIPE}, "its end tells a child that we are gone"


def test_a_role_that_runs_is_left_alone(world: World) -> None:
    supervised, child = one_role()
    for _ in range(3):
        supervised._tend(child)
        world.now += 10
    assert len(world.started) == 1


def test_a_role_that_dies_again_and_again_is_started_after_growing_pauses(world: World) -> None:
    supervised, child = one_role()
    pauses = []
    supervised._tend(child)
    for _ in range(10):
        world.started[-1].code, died_at, before = 1, world.now, len(world.started)
        while len(world.started) == before:
            supervised._tend(child)
            world.now += 0.05
        pauses.append(world.now - died_at)
    assert pauses[0] == pytest.approx(FIRST_PAUSE_S, abs=0.11)
    assert all(later >= earlier - 0.11 for earlier, later in pairwise(pauses))
    assert pauses[3] == pytest.approx(8 * FIRST_PAUSE_S, abs=0.11)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S, abs=0.11)


def test_a_role_that_ran_long_is_started_at_once(world: World) -> None:
    supervised, child = one_role()
    supervised._tend(child)
    world.started[0].code = 1
    supervised._tend(child)
    assert child.pause_s > 0
    world.now += FIRST_PAUSE_S
    supervised._tend(child)
    world.now += STEADY_S + 1
    world.started[1].code = -signal.SIGKILL
    supervised._tend(child)
    assert len(world.started) == 3
    assert child.pause_s == 0


@pytest.mark.parametrize("kind", [BrokerRefused, ConfigurationError, DeadLetterCapReached])
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
    world.now += FIRST_PAUSE_S
    supervised._tend(child)
    assert len(world.started) == 2


async def test_running_ends_with_the_reason_that_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "POLL_S", 0.0)
    supervised, _ = one_role()
    start = world.start

    def refused(command: list[str], **given: object) -> SimpleNamespace:
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
