"""Whether a request was meant for this dashboard: its host, its path, and which site caused it.

A browser lets any site send requests here. The host must be the dashboard's own, else a name that an attacker resolves
to this machine would read it (DNS rebinding); what changes something must come from the dashboard's own pages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Hosts of local mode."""
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods that change something."""
SAFE = frozenset({"GET", "HEAD"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
"""Headers by which a proxy says that somebody else asks."""

_PORTS = {"http": 80, "https": 443}
_ENCODED = re.compile(rb"%(2f|5c|0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)
"""Encoded slashes, backslashes and control characters: no address of the dashboard has them in its path."""


@dataclass(frozen=True, slots=True)
class Site:
    """Under which addresses the dashboard is reached. url: None in local mode, `https://host[:port]` otherwise."""

    url: str | None = None

    @classmethod
    def of(cls, url: str | None) -> Self:
        """Of the public address, whose path is left out; None: local mode."""
        if url is None:
            return cls()
        parts = urlsplit(url)
        return cls(f"{parts.scheme}://{parts.netloc}".lower())

    @property
    def local(self) -> bool:
        """Whether the dashboard is for this machine only."""
        return self.url is None

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by https."""
        return self.url is not None and self.url.startswith("https:")

    def hosts(self, port: int | None) -> frozenset[str]:
        """The values of the header `Host` that are this dashboard. port: on which it listens, for local mode."""
        if self.url is not None:
            return _with_default_port(urlsplit(self.url).netloc, urlsplit(self.url).scheme)
        return frozenset().union(*(_with_default_port(f"{host}:{port or 80}", "http") for host in LOOPBACK))

    def origin(self, host: str) -> str:
        """The origin of the dashboard's own pages. host: of a request, already checked."""
        return self.url if self.url is not None else f"http://{host}"


def _with_default_port(netloc: str, scheme: str) -> frozenset[str]:
    """Both ways to write a host with its scheme's default port.

    >>> sorted(_with_default_port("a.example:443", "https")), sorted(_with_default_port("a.example", "http"))
    (['a.example', 'a.example:443'], ['a.example', 'a.example:80'])
    """
    default = f":{_PORTS[scheme]}"
    bare = netloc.removesuffix(default)
    has_port = bool(re.search(r":\d+$", bare))
    return frozenset({bare} if has_port else {bare, bare + default})


def host_fault(site: Site, hosts: list[str], port: int | None) -> str:
    """Why the header `Host` is not this dashboard's; empty if it is. hosts: all values that were sent."""
    if len(hosts) != 1 or hosts[0].lower() not in site.hosts(port):
        where = "127.0.0.1 or localhost with its port" if site.local else "the address in UNDERTONE_DASHBOARD_URL"
        return f"The request is for another host: open the dashboard by {where}."
    return ""


def path_fault(raw_path: bytes, path: str) -> str:
    """Why a path is not one of the dashboard's; empty if it may be. raw_path: as it was sent, still encoded."""
    if _ENCODED.search(raw_path) or not path.startswith("/") or not path.isprintable():
        return "The address has encoded slashes or control characters."
    if "\\" in path or "//" in path or any(part in {".", ".."} for part in path.split("/")):
        return "The address has an empty or relative part."
    return ""


def forwarded_fault(site: Site, headers: Mapping[str, str]) -> str:
    """Why a forwarded request is refused; empty if it is not. In local mode whoever a proxy lets in would be let in."""
    if site.local and any(name in headers for name in FORWARDED):
        return "Local mode has no sign-in and takes no requests from a proxy: set UNDERTONE_OIDC_ISSUER."
    return ""


def site_fault(site: Site, method: str, headers: Mapping[str, str], host: str) -> str:
    """Why a request that another site caused is refused; empty if it is not.

    Browsers say in `Sec-Fetch-Site`, and older ones in `Origin`, which site caused a request; other programs send
    neither. A page of another site may link here, and nothing more: no form, no image, no script, no frame.
    """
    fetched = headers.get("sec-fetch-site", "")
    if fetched in {"same-origin", "none"}:
        return ""
    if fetched:
        navigates = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return "" if method in SAFE and navigates else "Another site caused this request: use the dashboard's own page."
    origin = headers.get("origin")
    if method in UNSAFE and origin is not None and origin.lower() != site.origin(host):
        return "Another site caused this request: use the dashboard's own page."
    return ""
