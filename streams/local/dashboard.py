"""The dashboard of a system on a laptop: whether it can run, its port, and whether it answers already."""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Self

from schemas.settings import Settings

DASHBOARD = "dashboard"
"""Name of the role and of its command."""
PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "psycopg", "jinja2")
"""What it needs besides everything else."""
INSTALL = "`pip install 'undertone-voice[dashboard]'` installs them"
ASK_EVERY_S = 0.1
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BACKLOG = 256
"""Connections that wait while the process of the dashboard starts."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where the dashboard listens; the same port for the life of the system, whatever becomes of the process.

    listening: the socket, which the process inherits, so that no other system takes its port meanwhile; None where the
    port that was asked for cannot be bound: the dashboard itself reports it.
    """

    host: str
    port: int
    listening: socket.socket | None = field(default=None, compare=False)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The dashboard of these settings, already listening; None where its packages are not installed.

        `close` it. The default port is left for a free one where it is in use.
        """
        if any(find_spec(name) is None for name in PACKAGES):
            return None
        host, port = settings.dashboard_host, settings.dashboard_port
        chosen = "dashboard_port" in settings.model_fields_set
        for each in (port,) if chosen else (port, 0):
            if (bound := _bound(host, each)) is not None:
                return cls(host, bound.getsockname()[1], bound)
        return cls(host, port if chosen else 0)

    def close(self) -> None:
        """Give the port back."""
        if self.listening is not None:
            self.listening.close()

    @property
    def address(self) -> str:
        """For a browser on this machine."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def answers(self) -> None:
        """Return when a request is answered: connections are accepted before the process is there."""
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                try:
                    writer.write(REQUEST)
                    if await reader.read(1):
                        return
                finally:
                    writer.close()
            await asyncio.sleep(ASK_EVERY_S)


def _bound(host: str, port: int) -> socket.socket | None:
    """A socket that listens there; port 0 takes a free one. None where the address cannot be bound."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        return None
