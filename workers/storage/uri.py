"""The place that a URI names: one spelling for each place, and none for URIs that layers may read differently."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.errors import Poison

FORBIDDEN_IN_REMOTE = ("%", "\\", "?", "#", "::", "//", "@")
"""Never in the part after `scheme://`: some layer between here and the storage interprets each differently."""
DEFAULT_PORTS = {"http": 80, "https": 443}
HTTP = frozenset(DEFAULT_PORTS)
"""Schemes whose first part is a host."""
_HOST = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """Location of an object. scheme: lower case, `file` for paths; parts: path segments, the bucket or host first."""

    scheme: str
    parts: tuple[str, ...]

    def holds(self, other: "Place") -> bool:
        """Whether `other` is under this place, by whole segments: `/data/a` does not hold `/data/ab`."""
        return self.scheme == other.scheme and self.parts == other.parts[: len(self.parts)]

    @property
    def url(self) -> str:
        """The URL of a place that is not a local file."""
        return f"{self.scheme}://{'/'.join(self.parts)}"


def place(uri: str) -> Place:
    """The place that a URI or a bare path names. Raises Poison `audio:uri_refused` if it is ambiguous.

    Local paths are resolved: `..` and symbolic links are followed before any comparison. Hosts of HTTP are written in
    lower case and without the default port.
    """
    if not uri or not uri.isprintable():
        raise refused("is empty or has unprintable characters")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if urlsplit(uri).scheme and not Path(uri).is_absolute():
            raise refused("has a scheme without `://`")
        return _local(uri)
    if not (scheme.isalnum() and scheme.isascii()):
        raise refused("has chained schemes, or a scheme with other than letters and digits")
    if scheme.lower() in {"file", "local"}:
        return _local_uri(rest)
    return _remote(scheme.lower(), rest.rstrip("/"))


def refused(why: str) -> Poison:
    """The error for a URI that is not read."""
    return Poison("audio:uri_refused", f"the audio URI {why}")


def _remote(scheme: str, rest: str) -> Place:
    first, *path = rest.split("/")
    # Some servers read `..;x` as `..`.
    names = {segment.partition(";")[0] if scheme in HTTP else segment for segment in path}
    checked = "/".join(path) if scheme in HTTP else rest
    if any(mark in checked for mark in FORBIDDEN_IN_REMOTE) or {"", ".", ".."} & {first, *names}:
        raise refused("has dots, escapes or empty segments in its path")
    return Place(scheme, (_host(scheme, first) if scheme in HTTP else first, *path))


def _host(scheme: str, written: str) -> str:
    """Host and port in their only spelling."""
    # Checked before it is lowered: `lower` turns some other letters into ASCII.
    found = _HOST.fullmatch(written.lower()) if written.isascii() else None
    if found is None:
        raise refused("has a host of other than ASCII characters, dots and dashes, or an invalid port")
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise refused("has an invalid port")
    return found["name"] if port == DEFAULT_PORTS[scheme] else f"{found['name']}:{port}"


def _local_uri(rest: str) -> Place:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise refused("is a file URI with a host; write file:///path")
    return _local("/" + unquote(path))


def _local(path: str) -> Place:
    if not path.isprintable() or not Path(path).is_absolute():
        raise refused("is a relative path or has unprintable characters")
    try:
        return Place("file", Path(os.path.realpath(path)).parts)
    except (OSError, ValueError):
        raise refused("is not a valid path on this system") from None
