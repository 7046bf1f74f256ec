"""`undertone demo` as somebody runs it whose shell names servers of their own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from schemas.errors import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

ADDRESSES = {
    "KAFKA_BOOTSTRAP": "{}",
    "REDIS_URL": "redis://{}",
    "SCHEMA_REGISTRY_URL": "http://{}",
    "UNDERTONE_WEBHOOK_URL": "http://{}/alerts",
    "UNDERTONE_ALERTMANAGER_URL": "http://{}",
    "UNDERTONE_SLACK_URL": "http://{}/hook",
}


@pytest.fixture
def servers() -> Iterator[dict[str, socket.socket]]:
    """A listening socket for every address that a setting can name; connections wait until they are accepted."""
    with ExitStack() as exits:
        yield {name: exits.enter_context(socket.create_server(("127.0.0.1", 0))) for name in ADDRESSES}


def connected(server: socket.socket) -> bool:
    """Whether anybody has ever connected."""
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def descendants(pid: int) -> list[int]:
    """Process ids of the children of a process, and of theirs."""
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [one for child in children for one in descendants(child)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc, which Linux has")
def test_the_demo_reaches_nothing_that_the_environment_names(servers: dict[str, socket.socket], tmp_path: Path) -> None:
    """It runs until memos are on its own broker and its workers start; none of them is told an address either."""
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers.values()]
    given = {name: ADDRESSES[name].format(address) for name, address in zip(servers, addresses, strict=True)}
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "redis_url").write_text(given["REDIS_URL"])
    given |= {"UNDERTONE_SECRETS_DIR": str(secrets), "UNDERTONE_AUDIO_PREFIXES": "s3://memos/"}
    with (tmp_path / "stderr").open("w") as stderr:
        demo = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "demo", "--picture", str(tmp_path / "demo.png")],
            env={**os.environ, **given},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert demo.stdout is not None
    told = []
    for line in demo.stdout:
        told.append(line)
        if told[1:] and " 0 of" not in line:
            break
    roles = [Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants(demo.pid)]
    children = descendants(demo.pid)
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert len(roles) >= 3
    assert not [address for address in addresses for environment in roles if address.encode() in environment]
    assert not [name for name, server in servers.items() if connected(server)]
    assert " 0 of" not in told[-1], told
    assert "ignores these settings: KAFKA_BOOTSTRAP" in (tmp_path / "stderr").read_text().splitlines()[0]
    assert told[0].startswith("dashboard: http://127.0.0.1:")
    assert "starting the embedded broker" in told[1]
    assert "waiting for the first features of: acoustic, embedding" in told[2]
