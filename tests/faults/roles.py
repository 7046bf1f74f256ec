"""The roles of a scenario as processes: started, killed, frozen, told a wrong time, and started again when they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import libfaketime

from deploy.kafka.server import dies_with_parent

FAKETIME = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
END_S = 10.0
"""SIGTERM to exit, with work in flight."""
MOST_ENDS = 12
"""So often a role may end by itself before the scenario is given up."""

Command = Callable[[str], Sequence[str]]
"""What runs a role of a kind: arguments for Python."""


def real(kind: str) -> Sequence[str]:
    """The roles of production."""
    return ["-m", "streams.cli", *(["agents"] if kind == "agents" else ["worker", kind])]


def cheap(kind: str) -> Sequence[str]:
    """The same, only that hearing costs nothing."""
    return real(kind) if kind == "agents" else ["-m", "tests.faults.cheap_worker", kind]


@dataclass(slots=True)
class Role:
    """One process, by name. wanted: whether it should run, so that it is started again when it ends by itself."""

    name: str
    log: Path
    clock: Path
    process: "subprocess.Popen[bytes] | None" = None
    wanted: bool = False


@dataclass(slots=True)
class Chronicle:
    """What happened: how long each process took from SIGTERM to its end, and which ended by themselves, and how."""

    ends_s: list[float] = field(default_factory=list)
    ended_by_themselves: list[tuple[str, int]] = field(default_factory=list)


class Roles:
    """Processes by name, `kind-number`; every `-0` is a static member of its group.

    environment: of the roles of a kind.
    """

    def __init__(self, folder: Path, command: Command, environment: Callable[[str], Mapping[str, str]]) -> None:
        self.chronicle = Chronicle()
        self._folder, self._command, self._environment = folder, command, environment
        self._roles: dict[str, Role] = {}

    @property
    def running(self) -> list[str]:
        """Names of those that run."""
        return [name for name, role in self._roles.items() if role.process]

    def pid(self, name: str) -> int:
        """The process of one that runs."""
        process = self._roles[name].process
        assert process, f"{name} does not run"
        return process.pid

    def begin(self, name: str) -> None:
        """Start a process."""
        kind, number = name.split("-")
        role = self._roles.setdefault(name, Role(name, self._folder / f"{name}.log", self._folder / f"{name}.clock"))
        if not role.clock.exists():
            self.set_clock(name, 0)
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "UNDERTONE_INSTANCE": name if number == "0" else "",
            **_clock_of(role.clock),
            **self._environment(kind),
        }
        with role.log.open("ab") as log:
            role.process = subprocess.Popen(
                [*dies_with_parent(), sys.executable, *self._command(kind)], env=environment, stdout=log, stderr=log
            )
        role.wanted = True

    def tend(self) -> None:
        """Start again what ended by itself, as any supervisor does. Raises AssertionError for what cannot live."""
        for role in self._roles.values():
            if role.wanted and role.process and role.process.poll() is not None:
                self.chronicle.ended_by_themselves.append((role.name, role.process.returncode))
                ends = [name for name, _ in self.chronicle.ended_by_themselves].count(role.name)
                assert ends <= MOST_ENDS, f"{role.name} cannot live\n{self.told()}"
                self.begin(role.name)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        role = self._roles[name]
        role.wanted = False
        if role.process:
            role.process.kill()
            role.process.wait()
        role.process = None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal, if the process runs."""
        process = self._roles[name].process
        if process and process.poll() is None:
            process.send_signal(number)

    def leave(self, name: str, patience_s: float) -> None:
        """SIGTERM, and wait. Raises AssertionError when it does not end, or not in good order."""
        role = self._roles[name]
        role.wanted = False
        assert role.process, f"{name} does not run"
        began = time.monotonic()
        role.process.terminate()
        try:
            code = role.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} does not end\n{self.told()}") from None
        self.chronicle.ends_s.append(time.monotonic() - began)
        role.process = None
        # One that is told to go while it still starts ends by the signal.
        assert code in {0, -signal.SIGTERM}, f"{name} ended with {code}\n{self.told()}"

    def set_clock(self, name: str, seconds: float) -> None:
        """The wall clock of a role, so many seconds beside the true time, at once: it sees the old or the new."""
        clock = self._roles[name].clock
        unfinished = clock.with_suffix(".new")
        unfinished.write_text(f"{seconds:+.0f}s\n")
        unfinished.rename(clock)

    def end_all(self) -> None:
        """SIGKILL for all."""
        for name in self.running:
            self.kill(name)

    def told(self) -> str:
        """The last words of every role."""
        return "\n".join(f"--- {role.log.name}\n{role.log.read_text()[-1500:]}" for role in self._roles.values())


def _clock_of(path: Path) -> dict[str, str]:
    """Environment of a process whose wall clock goes by what `path` says, from one look to the next."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(path),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
