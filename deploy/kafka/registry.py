"""A real schema registry for development and tests: `python deploy/kafka/registry.py`.

It is Apicurio Registry, through its endpoint that is compatible with Confluent's. Maven brings it by name, once, into
`.cache/kafka/registry-<version>`. It keeps its schemas in memory. Never for production.

    with RegistryServer() as registry:
        settings = Settings.load(schema_registry_url=registry.url)
"""

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from deploy.kafka.server import CACHE, HERE, LIGHT, dies_with_parent, free_ports, lacking, pom_property
from schemas.errors import Stop

POM = HERE / "registry-pom.xml"
START_S = 120.0
STOP_S = 10.0


def installed(cache: Path = CACHE) -> Path:
    """The registry's jar, which Maven brings the first time. Raises Stop when it cannot."""
    version = pom_property(POM, "registry.version")
    folder = cache / f"registry-{version}"
    if not folder.is_dir():
        if lacking():
            raise Stop(lacking())
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as unfinished:
            unpacked = Path(unfinished) / "registry"
            command = ["mvn", "--quiet", "--batch-mode", "--file", str(POM), "dependency:unpack-dependencies"]
            folders = [f"-DoutputDirectory={unpacked}", f"-DmarkersDirectory={unfinished}/markers"]
            done = subprocess.run([*command, *folders], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Stop(f"Maven could not bring Apicurio {version}:\n{(done.stdout + done.stderr)[-2000:]}")
            with contextlib.suppress(OSError):  # another process was faster
                unpacked.rename(folder)
    return next(folder.glob("*-runner.jar"))


class RegistryServer:
    """One registry on a free port of this machine, empty, until the context ends."""

    def __init__(self) -> None:
        self._jar = installed()
        self._folder = Path(tempfile.mkdtemp(prefix="undertone-registry-"))
        self._port, _ = free_ports()
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        options = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self._port}", "-Dquarkus.log.level=WARN"]
        log = self._folder / "registry.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*dies_with_parent(), "java", *LIGHT, *options, "-jar", str(self._jar)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:]
                self._end()
                raise Stop(f"the registry did not start:\n{said}")
            time.sleep(0.1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def wait(self) -> int:
        """Wait until the registry ends by itself; gives its exit status."""
        return 0 if self._process is None else self._process.wait()

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/subjects", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)


def main() -> int:
    """The command: run until interrupted, and say how to reach it."""
    argparse.ArgumentParser(description="Run a schema registry in memory until interrupted.").parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with RegistryServer() as server:
            print(f"export SCHEMA_REGISTRY_URL={server.url}", flush=True)
            print("The registry runs; Ctrl-C stops it and forgets its schemas.", file=sys.stderr, flush=True)
            return server.wait()
    except KeyboardInterrupt:
        return 0
    except Stop as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
