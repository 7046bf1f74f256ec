"""Key servers for tests: one in a thread of this process, with certificates of its own, and roles that ask it."""

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.kafka.certificates import Authority
from schemas.settings import Settings
from streams.roles.key_service import run_key_service
from tests.keys import sealing
from tests.servers import free_port

WITHIN_S = 30.0


@dataclass
class KeyServices:
    """A key directory in `folder`, its service, and settings of whoever asks it."""

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "certificates", "keys")
        self.home = sealing(self.folder / "directory")

    def certified(self, name: str, authority: Authority | None = None, **given: object) -> dict[str, object]:
        """Settings with the certificate of a name, of this authority or another one."""
        pair = (authority or self.authority).vouch(name)
        ca = self.authority.certificate
        files = {"key_service_ca": ca, "key_service_certificate": pair.certificate, "key_service_key": pair.key}
        return {**files, **given}

    @property
    def served(self) -> Settings:
        """Settings of the service."""
        own = self.certified("keys", key_service_port=self.port, kafka_bootstrap="127.0.0.1:1", stop_deadline_s=2.0)
        return sealing(self.home.home, **own)

    def asking(self, name: str, authority: Authority | None = None, **given: object) -> Settings:
        """Settings of a role that has no key directory."""
        url = f"https://127.0.0.1:{self.port}"
        return sealing(self.folder / name, **self.certified(name, authority, key_service_url=url), **given)

    @contextmanager
    def running(self, settings: Settings | None = None) -> Iterator[None]:
        """The service, until the end of the block."""
        served = settings or self.served
        loops, faults = list[tuple[asyncio.AbstractEventLoop, asyncio.Event]](), list[BaseException]()

        async def run() -> None:
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))
            await run_key_service(served, stop)

        def work() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                faults.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            while not accepts(served):
                assert thread.is_alive(), faults
                time.sleep(0.01)
            yield
        finally:
            for loop, stop in loops:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(stop.set)
            thread.join(WITHIN_S)
            gc.collect()  # what asyncio leaves of TLS connections is not another test's


def accepts(served: Settings) -> bool:
    """Whether a service takes connections; requests wait until it is ready."""
    folder = served.key_service_sockets
    try:
        with socket.socket(socket.AF_INET if folder is None else socket.AF_UNIX) as trying:
            own = ("127.0.0.1", served.key_service_port)
            trying.connect(own if folder is None else str(folder / "bridge.sock"))
    except OSError:
        return False
    return True
