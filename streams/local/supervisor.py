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

FATAL = {kind.exit_code for kind in (BrokerRefused, ConfigurationError, DeadLetterCapReached)}
"""Exit codes after which a restart would fail again, or do harm."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0
STEADY_S = 30.0
"""A child that ran this long restarts at once."""
POLL_S = 0.1


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

    Children stop by themselves when their standard input closes, as it does when this process ends.
    """

    def __init__(self, roles: Mapping[str, Sequence[str]], environments: Mapping[str, Mapping[str, str]]) -> None:
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
            child.process = None
            if code in FATAL:
                raise Stop(f"{child.name} exited with code {code} and is not restarted: see its last message above")
            steady = time.monotonic() - child.started_at > STEADY_S
            child.pause_s = 0.0 if steady else min(max(child.pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            log.warning("%s exited with code %d; restarting in %.1f s", child.name, code, child.pause_s)
            child.started_at = time.monotonic()
        if child.process is None and time.monotonic() - child.started_at >= child.pause_s:
            child.started_at = time.monotonic()
            child.process = subprocess.Popen(  # noqa: S603  # our own program with our own arguments
                [sys.executable, "-m", "streams.cli", *child.arguments],
                env=self._environments[child.name],
                stdin=subprocess.PIPE,
            )


def _end(process: "subprocess.Popen[bytes]", within_s: float) -> None:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
