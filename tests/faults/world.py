"""A world to break: real Kafka, real Redis, links between them and the roles, and the roles themselves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import singledispatchmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from deploy.kafka.server import KafkaServer
from schemas.codec import Codec
from schemas.events import MemoUploaded
from schemas.pipeline import AGENTS_GROUP
from tests.faults import scenario
from tests.faults.judge import Seen
from tests.faults.proxy import Link
from tests.faults.reader import Positions, Reader
from tests.faults.roles import Command, Roles
from tests.servers import RedisServer, free_port


class World:
    """Everything that a scenario needs. `with World(folder, audio, memos, cheap, settings) as world:
    world.play(scenario)`.

    folder: for logs; audio: the folder of the memos' audio; memos: what uploads take from, in order; settings:
    environment of the roles; roles: that run from the beginning; session_s: a process silent for so long loses its
    partitions.
    """

    def __init__(
        self,
        folder: Path,
        audio: Path,
        memos: Iterable[MemoUploaded],
        command: Command,
        settings: Mapping[str, str],
        *,
        roles: Sequence[str] = scenario.ROLES,
        session_s: float = 4.0,
        patience_s: float = 240.0,
    ) -> None:
        self._folder, self._audio, self._settings = folder, audio, settings
        self._memos: Iterator[MemoUploaded] = iter(memos)
        self._begun, self._session_s, self._patience_s = roles, session_s, patience_s
        self.accepted: set[str] = set()
        self.roles = Roles(folder, command, self._environment)
        self._uploaded = 0

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._folder.mkdir(parents=True)
            ports = [free_port() for _ in scenario.KINDS]
            self._links = {
                kind: exits.enter_context(Link(port)) for kind, port in zip(scenario.KINDS, ports, strict=True)
            }
            links = {port: link.port for port, link in zip(ports, self._links.values(), strict=True)}
            self._kafka = exits.enter_context(KafkaServer(links=links))
            self._redis = exits.enter_context(RedisServer())
            self._links["redis"] = exits.enter_context(Link(self._redis.port))
            self._create_topics()
            self._producer = Producer(
                {"bootstrap.servers": self._kafka.bootstrap, "enable.idempotence": True, "log_level": 0}
                | {"message.timeout.ms": 600_000, "linger.ms": 5}
            )
            self._reader = Reader(self._kafka.bootstrap, self._folder / "home")
            exits.callback(self._reader.close)
            self._positions = Positions(self._kafka.bootstrap, AGENTS_GROUP, "risk.scored")
            exits.callback(self._positions.close)
            exits.callback(self.roles.end_all)
            for name in self._begun:
                self.roles.begin(name)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exits.close()

    def play(self, steps: scenario.Scenario) -> Seen:
        """Take every step, wait until all memos are through, end all roles in good order; what lies on the topics."""
        for step in steps:
            print(f"{time.strftime('%H:%M:%S')} {scenario.in_words(step)}", flush=True)
            self._tend()
            self._take(step)
        self._settle()
        for name in self.roles.running:
            self.roles.leave(name, self._patience_s)
        seen = self._reader.read()
        sealed = self._settings.get("UNDERTONE_SEAL") == "on"
        assert bool(self._reader.sealed) == sealed, f"{self._reader.sealed} records were sealed"
        return seen

    def _environment(self, kind: str) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{self._links[kind].port}",
            "REDIS_URL": f"redis://127.0.0.1:{self._links['redis'].port}/0",
            "UNDERTONE_AUDIO_PREFIXES": self._audio.as_uri(),
            "UNDERTONE_SESSION_TIMEOUT_S": str(self._session_s),
            "UNDERTONE_HOME": str(self._folder / "home"),
            **self._settings,
        }

    def _tend(self) -> None:
        self._producer.poll(0)
        self.roles.tend()

    # Steps

    @singledispatchmethod
    def _take(self, step: scenario.Step) -> None:
        raise TypeError(f"no way to take {step}")

    @_take.register
    def _(self, step: scenario.Upload) -> None:
        codec = Codec()
        for _ in range(step.memos):
            memo = next(self._memos)
            self._uploaded += 1
            self._producer.produce(
                "memos.uploaded", codec.encode(memo), memo.user_id.encode(), on_delivery=self._acknowledged(memo)
            )
        self._producer.poll(0)

    @_take.register
    def _(self, step: scenario.Settled) -> None:
        self._settle()

    @_take.register
    def _(self, step: scenario.Pause) -> None:
        until = time.monotonic() + step.seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            self._tend()

    @_take.register
    def _(self, step: scenario.Kill) -> None:
        self.roles.kill(step.role)

    @_take.register
    def _(self, step: scenario.Start) -> None:
        self.roles.begin(step.role)

    @_take.register
    def _(self, step: scenario.Leave) -> None:
        self.roles.leave(step.role, self._patience_s)

    @_take.register
    def _(self, step: scenario.Freeze) -> None:
        self.roles.signal(step.role, signal.SIGSTOP)

    @_take.register
    def _(self, step: scenario.Thaw) -> None:
        self.roles.signal(step.role, signal.SIGCONT)

    @_take.register
    def _(self, step: scenario.StopBroker) -> None:
        self._kafka.stop()

    @_take.register
    def _(self, step: scenario.KillBroker) -> None:
        self._kafka.kill()

    @_take.register
    def _(self, step: scenario.StartBroker) -> None:
        self._kafka.start()

    @_take.register
    def _(self, step: scenario.KillRedis) -> None:
        self._redis.kill()

    @_take.register
    def _(self, step: scenario.StartRedis) -> None:
        self._redis.start()

    @_take.register
    def _(self, step: scenario.StartEmptyRedis) -> None:
        self._redis.lose_data()
        self._redis.start()

    @_take.register
    def _(self, step: scenario.Cut) -> None:
        self._links[step.link].cut()

    @_take.register
    def _(self, step: scenario.Break) -> None:
        self._links[step.link].break_all()

    @_take.register
    def _(self, step: scenario.Mend) -> None:
        self._links[step.link].mend()

    @_take.register
    def _(self, step: scenario.TakeAudioAway) -> None:
        self._audio.rename(self._audio.with_name("away"))

    @_take.register
    def _(self, step: scenario.BringAudioBack) -> None:
        self._audio.with_name("away").rename(self._audio)

    @_take.register
    def _(self, step: scenario.SetClock) -> None:
        self.roles.set_clock(step.role, step.seconds)

    # Waiting

    def _settle(self) -> None:
        """Wait until every memo has its end and the drift agent has followed every score.

        Raises AssertionError when patience ends: whatever follows would wait in vain as well.
        """
        deadline = time.monotonic() + self._patience_s
        while waits_for := self._waits_for():
            self._tend()
            assert time.monotonic() < deadline, f"after {self._patience_s:.0f} s {waits_for}\n{self.roles.told()}"

    def _waits_for(self) -> str:
        """What is not through yet, in words; empty when everything is."""
        if unsent := self._producer.flush(1):
            return f"the broker has not acknowledged {unsent} memos"
        if (open_memos := self._uploaded - len(self._reader.read().finished())) > 0:
            return f"{open_memos} memos have no end"
        return "" if self._positions.caught_up() else "the drift agent has not followed every score"

    def _acknowledged(self, memo: MemoUploaded) -> Callable[[object, object], None]:
        def note(error: object, _: object) -> None:
            if error is None:
                self.accepted.add(memo.memo_id)

        return note

    def _create_topics(self) -> None:
        environment = {**os.environ, "KAFKA_BOOTSTRAP": self._kafka.bootstrap, "UNDERTONE_PARTITIONS": "4"}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=environment, check=True)
