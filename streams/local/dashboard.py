"""The dashboard of a system on a laptop: whether it can run, its port, and whether it answers already."""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Self

from schemas.settings import Settings

DASHBOARD = "dashboard"
"""Name of the role and of its command."""
PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "psycopg", "jinja2")
"""What it needs besides everything else."""
INSTALL = "`pip install 'undertone-voice[dashboard]'` installs them"
ASK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where the dashboard listens; the same port for the life of the system, whatever becomes of the process."""

    host: str
    port: int

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The dashboard of these settings; None where its packages are not installed."""
        if any(find_spec(name) is None for name in PACKAGES):
            return None
        host, port = settings.dashboard_host, settings.dashboard_port
        chosen = "dashboard_port" in settings.model_fields_set
        return cls(host, port if port and (chosen or _is_free(host, port)) else _free_port(host))

    @property
    def address(self) -> str:
        """For a browser on this machine."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def answers(self) -> None:
        """Return when a connection is accepted."""
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(self.host, self.port)
                writer.close()
                return
            await asyncio.sleep(ASK_EVERY_S)


def _is_free(host: str, port: int) -> bool:
    try:
        _bound(host, port).close()
    except OSError:
        return False
    return True


def _free_port(host: str) -> int:
    """A port that nothing listens on. A wrong host is for the dashboard itself to report."""
    try:
        with _bound(host, 0) as found:
            return int(found.getsockname()[1])
    except OSError:
        return 0


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family)
