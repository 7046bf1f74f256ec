"""PostgreSQL for tests: Debian's server, on a free port of loopback, with its data in a folder of the run."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import psycopg
import pytest

from deploy.kafka.server import dies_with_parent
from tests.servers import free_port, required

START_S = 60.0
USERS = ("postgres", "nobody")
"""As whom the server runs where tests run as root, which it refuses to."""


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`; None where there is none. Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates = [*([Path(found).resolve().parent] if found else []), *folders]
    return next(
        (folder for folder in candidates if (folder / "initdb").exists() and (folder / "postgres").exists()), None
    )


class PostgresServer:
    """One PostgreSQL; it can be killed and started again with its data. options: of the server, `name=value`."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self._programs, self._options = folder, options
        self._folder = Path(tempfile.mkdtemp(prefix="undertone-postgres-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data_folder(self) -> Path:
        """Where the server keeps everything."""
        return self._folder

    def url(self, database: str = "postgres") -> str:
        """Address of a database, as settings name it."""
        return f"postgresql://undertone@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        data = self._folder / "data"
        if os.geteuid() == 0:
            subprocess.run(["chown", self._user(), str(self._folder)], check=True)
        made = subprocess.run(
            [
                *(*self._as_user(), str(self._programs / "initdb"), "-D", str(data), "-U", "undertone", "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr[-2000:]
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start and wait until it answers."""
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", *self._options)
        options = [word for each in settings for word in ("-c", each)]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._as_user(), *command], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once; its data stays."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT ends its children too, without a checkpoint
            self._process.wait()
            self._process = None

    def make(self, database: str) -> str:
        """A new, empty database; its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _user(self) -> str:
        for name in USERS:
            if subprocess.run(["id", name], capture_output=True, check=False).returncode == 0:
                return name
        raise AssertionError(f"none of the users {', '.join(USERS)} exists")

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return dies_with_parent()
        user = self._user()
        return ["setpriv", f"--reuid={user}", f"--regid={_group(user)}", "--clear-groups", *dies_with_parent()]


def _group(user: str) -> str:
    return subprocess.run(["id", "-gn", user], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL, one for all tests of a run: each makes databases of its own."""
    folder = programs()
    if folder is None and required("postgres"):
        pytest.fail("UNDERTONE_REQUIRE names postgres: PostgreSQL is not installed; `make servers` installs it")
    if folder is None:
        pytest.skip("no PostgreSQL: `make servers` installs it")
    with PostgresServer(folder) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A new, empty database."""
    return postgres.make(f"t{Random().getrandbits(64):016x}")
