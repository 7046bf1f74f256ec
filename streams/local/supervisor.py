"""Child processes that are restarted when they die, and that do not outlive their parent."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.errors import BrokerRefused, ConfigurationError, DeadLetterCapReached, Stop

log = logging.getLogger(__name__)

FATAL = {kind.exit_code for kind in (BrokerRefused, ConfigurationError)}
"""Exit codes after which a restart fails again until somebody changes a permission or a setting."""
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses before a restart: `first_s`, doubled each time up to `longest_s`.

    A child that ran for `steady_s` begins again, with a pause of `steady_pause_s`.
    """

    first_s: float
    longest_s: float
    steady_s: float
    steady_pause_s: float

    def pause_s(self, previous_s: float, ran_s: float) -> float:
        """The pause after a child that ran for `ran_s`, started after a pause of `previous_s`."""
        return self.steady_pause_s if ran_s > self.steady_s else min(max(previous_s * 2, self.first_s), self.longest_s)


CRASHED = BackOff(first_s=0.2, longest_s=15.0, steady_s=30.0, steady_pause_s=0.0)
CAPPED = BackOff(first_s=10.0, longest_s=300.0, steady_s=1800.0, steady_pause_s=10.0)
"""After too many dead letters. The same records are redelivered: meanwhile storage may recover, and each attempt
reads and decodes them."""


@dataclass(slots=True)
class Child:
    """One role and its current process."""

    name: str
    arguments: tuple[str, ...]
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause_s: float = 0.0


class Supervisor:
    """Runs `undertone` roles as processes of their own; one that dies is restarted with back-off.

    Children stop by themselves when their standard input closes, as it does when this process ends. sockets: a
    descriptor that a role inherits, each time that it is started.
    """

    def __init__(
        self,
        roles: Mapping[str, Sequence[str]],
        environments: Mapping[str, Mapping[str, str]],
        sockets: Mapping[str, int] | None = None,
    ) -> None:
        self._sockets = sockets or {}
        self.children = [Child(name, tuple(arguments)) for name, arguments in roles.items()]
        self._environments = {name: dict(environments[name]) for name in roles}

    async def run(self) -> None:
        """Keep every role running until cancelled. Raises Stop when one exits with a code in FATAL."""
        while True:
            for child in self.children:
                self._tend(child)
            await asyncio.sleep(POLL_S)

    async def stop(self, within_s: float) -> None:
        """Stop all children: by SIGTERM, then by SIGKILL."""
        running = [c.process for c in self.children if c.process and c.process.poll() is None]
        for process in running:
            process.terminate()
        await asyncio.gather(*(asyncio.to_thread(_end, process, within_s) for process in running))

    def _tend(self, child: Child) -> None:
        if child.process is not None and (code := child.process.poll()) is not None:
            _close_input(child.process)
            child.process = None
            if code in FATAL:
                raise Stop(f"{child.name} exited with code {code} and is not restarted: see its last message above")
            capped = code == DeadLetterCapReached.exit_code
            ran_s = time.monotonic() - child.started_at
            child.pause_s = (CAPPED if capped else CRASHED).pause_s(child.pause_s, ran_s)
            why = " (too many dead letters: see its last message above)" if capped else ""
            log.warning("%s exited with code %d%s; restarting in %.1f s", child.name, code, why, child.pause_s)
            child.started_at = time.monotonic()
        if child.process is None and time.monotonic() - child.started_at >= child.pause_s:
            child.started_at = time.monotonic()
            child.process = subprocess.Popen(  # noqa: S603  # our own program with our own arguments
                [sys.executable, "-m", "streams.cli", *child.arguments],
                env=self._environments[child.name],
                stdin=subprocess.PIPE,
                pass_fds=[self._sockets[child.name]] if child.name in self._sockets else [],
            )


def _end(process: "subprocess.Popen[bytes]", within_s: float) -> None:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _close_input(process)


def _close_input(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
