"""What every test may ask for."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.browser import chromium
from tests.dashboard import dashboard
from tests.guarded import guarded, guarded_redis
from tests.identity import identity
from tests.keys import aws, hsm, keyring, moto, softhsm
from tests.postgres import postgres, postgres_url
from tests.servers import broker, kafka, one_broker, redis_server

__all__ = [
    "anyio_backend",
    "aws",
    "broker",
    "chromium",
    "dashboard",
    "guarded",
    "guarded_redis",
    "hsm",
    "identity",
    "kafka",
    "keyring",
    "moto",
    "one_broker",
    "postgres",
    "postgres_url",
    "redis_server",
    "shared",
    "softhsm",
]

# A shell lets its background jobs ignore Ctrl-C, and so do all processes that they start; tests send it to commands.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline for each example would assert speed, which a busy machine does not keep.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """More work for tests that can do any amount of it."""
    parser.addoption("--voices", type=int, default=1, help="simulated voices per container, read by several decoders")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, which the Kafka clients are made for."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands keep their files, such as compiled programs, in a folder of this run, not in the developer's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERTONE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real speech and reference outputs, which lies beside the project or nowhere."""
    folder = Path(os.environ.get("UNDERTONE_SHARED", Path(__file__).parent.parent.parent / "shared"))
    if not (folder / "audio" / "manifest.csv").is_file():
        pytest.skip("no real speech here: put the shared folder beside the project or name it in UNDERTONE_SHARED")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the real servers that they ask for, so that `-m kafka`, `-m redis` and `-m browser` find all."""
    for item in items:
        asked = getattr(item, "fixturenames", ())
        if {"kafka", "guarded"} & set(asked):
            item.add_marker("kafka")
        if {"redis_server", "guarded_redis"} & set(asked):
            item.add_marker("redis")
        if {"chromium", "dashboard", "microphone"} & set(asked):
            item.add_marker("browser")
        if {"postgres", "postgres_url"} & set(asked):
            item.add_marker("postgres")
