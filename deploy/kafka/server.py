"""A real single-node Apache Kafka (KRaft) for development, tests and benchmarks: `python deploy/kafka/server.py`.

Its jars come by name from Maven Central through the machine's Maven, once, into `.cache/kafka/<version>`; its data lies
in a temporary folder that goes when the server goes. Never for production: one node, no replicas, no encryption.

    with KafkaServer() as server:
        settings = Settings.load(kafka_bootstrap=server.bootstrap)
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.etree import ElementTree

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import Stop

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "kafka"
START_S = 180.0
STOP_S = 20.0
LIGHT = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For a machine with few cores: little memory, and no second compiler that would compete with what is tested."""

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A member that stops answering is thrown out when it asks to be, not only after Kafka's least of six seconds.
    "group.min.session.timeout.ms": "1000",
    # After a kill the only broker may come back only when its former session is over.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


def lacking() -> str:
    """What this machine lacks for a Kafka of its own, and what to do; empty when it lacks nothing."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if not missing:
        return ""
    return f"no {' and no '.join(missing)} here: install Java 17 or newer and Maven (openjdk-17-jre-headless, maven)"


def version() -> str:
    """The version of Kafka that `pom.xml` names."""
    return pom_property(HERE / "pom.xml", "kafka.version")


def pom_property(pom: Path, name: str) -> str:
    """A property of a Maven project. Raises Stop when it has none of that name."""
    found = ElementTree.parse(pom).getroot().findtext(f".//{{*}}{name}")
    if found is None:
        raise Stop(f"deploy/kafka/{pom.name} has no property {name}")
    return found


def libraries(cache: Path = CACHE) -> Path:
    """The folder of Kafka's jars, which Maven fills the first time. Raises Stop when it cannot."""
    folder = cache / version()
    if folder.is_dir():
        return folder
    if lacking():
        raise Stop(lacking())
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as unfinished:
        jars = Path(unfinished) / "jars"
        command = ["mvn", "--quiet", "--batch-mode", "--file", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={jars}", "-DincludeScope=runtime"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Stop(f"Maven could not bring Kafka {version()}:\n{(done.stdout + done.stderr)[-2000:]}")
        with contextlib.suppress(OSError):  # another process was faster
            jars.rename(folder)
    return folder


class KafkaServer:
    """One broker. It can be killed, stopped and started again with its data, until the context ends.

    port: a free one for 0; properties: added to the server's own, such as listeners with encryption; java_options: of
    the broker's process; links: further ports to listen on, each with the port that clients are told to come back to,
    for something that stands between. On Linux the broker dies with the thread that started it, so that nothing
    outlives a killed test run.
    """

    def __init__(
        self,
        port: int = 0,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = LIGHT,
        links: Mapping[int, int] | None = None,
    ) -> None:
        self._libraries = libraries()
        self._options = tuple(java_options)
        self._folder = Path(tempfile.mkdtemp(prefix="undertone-kafka-"))
        first, second = free_ports()
        self.bootstrap = f"127.0.0.1:{port or first}"
        addresses = {
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{second}",
            "controller.quorum.voters": f"1@127.0.0.1:{second}",
            "log.dirs": str(self._folder / "data"),
        }
        if links:
            addresses |= _linked(addresses["listeners"], self.bootstrap, links)
        lines = [f"{name}={value}\n" for name, value in {**PROPERTIES, **addresses, **(properties or {})}.items()]
        self._config = self._folder / "server.properties"
        self._config.write_text("".join(lines))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the broker says."""
        return self._folder / "kafka.log"

    @property
    def data_folder(self) -> Path:
        """Where the server keeps everything, its log segments among them."""
        return self._folder

    @property
    def pid(self) -> int:
        """The broker's process. Raises Stop when it does not run."""
        if self._process is None:
            raise Stop("the broker does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self._format()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        self._remove()

    def start(self) -> None:
        """Start the broker and wait until it answers a client. Raises Stop with the end of its log when it does not."""
        options = [*self._options, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *self._class_archive()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*dies_with_parent(), *self._java(*options), "kafka.Kafka", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise Stop(f"Kafka did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the broker in good order; its data stays. Does nothing when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self.kill()
        self._keep_archive()

    def kill(self) -> None:
        """End the broker at once, as a power cut does; its data stays. Does nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> int:
        """Wait until the broker ends by itself; gives its exit status."""
        return 0 if self._process is None else self._process.wait()

    def _java(self, *options: str) -> list[str]:
        # In order, since the archive of classes holds for one class path only.
        jars = sorted(str(path) for path in self._libraries.glob("*.jar"))
        return ["java", *options, "-cp", os.pathsep.join(jars)]

    def _format(self) -> None:
        cluster = "undertone-development-"  # 22 characters, as a cluster's id has
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(self._config)]
        quiet = ("-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        done = subprocess.run([*self._java(*quiet), *tool], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Stop(f"Kafka could not format its storage:\n{(done.stdout + done.stderr)[-2000:]}")

    def _answers(self) -> bool:
        host, port = self.bootstrap.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return bool(
                AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=5).brokers
            )
        except (OSError, KafkaException):
            return False

    def _class_archive(self) -> list[str]:
        """Java's archive of loaded classes halves the time to start; the first server that stops well writes it."""
        kept = self._libraries / "classes.jsa"
        if kept.exists():
            return [f"-XX:SharedArchiveFile={kept}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        return [f"-XX:ArchiveClassesAtExit={self._folder / kept.name}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

    def _keep_archive(self) -> None:
        written = self._folder / "classes.jsa"
        if written.exists():
            unfinished = self._libraries / f"classes.{os.getpid()}"
            shutil.copy(written, unfinished)
            unfinished.rename(self._libraries / written.name)
            written.unlink()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def dies_with_parent() -> list[str]:
    """What to write before a command so that it dies with the thread that starts it; nothing where there is no way."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _linked(listeners: str, bootstrap: str, links: Mapping[int, int]) -> dict[str, str]:
    """Properties of a broker that also listens on the keys of `links`, and sends clients from there to the values."""
    names = [f"LINK{number}" for number in range(len(links))]
    own, told = (
        ",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True))
        for ports in (links.keys(), links.values())
    )
    return {
        "listeners": f"{listeners},{own}",
        "advertised.listeners": f"PLAINTEXT://{bootstrap},{told}",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names)),
        "inter.broker.listener.name": "PLAINTEXT",
    }


def free_ports() -> tuple[int, int]:
    """Two ports of this machine on which nobody listens now."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(two.getsockname()[1])


def main() -> int:
    """The command: run until interrupted, and say how to reach it."""
    parser = argparse.ArgumentParser(description="Run a single-node Apache Kafka until interrupted.")
    parser.add_argument("--port", type=int, default=0, help="port of the broker; a free one by default")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with KafkaServer(arguments.port) as server:
            print(f"export KAFKA_BOOTSTRAP={server.bootstrap}", flush=True)
            print(f"Apache Kafka {version()} runs; Ctrl-C stops it and removes its data.", file=sys.stderr, flush=True)
            return server.wait()
    except KeyboardInterrupt:
        return 0
    except Stop as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
