"""Who asks: the name in a client's certificate, or the name of the socket on this machine that it came by."""

import asyncio
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from schemas.key_grants import KEY_GRANTS

SOCKET = ".sock"
UNNAMED = "unnamed"
"""The name of who has none, or more than one."""
OTHER = "other"
"""In metrics, whoever is not in the table of grants."""


def caller_of(transport: asyncio.BaseTransport) -> str:
    """The name of the other side of a connection, whose certificate was verified before."""
    certificate = transport.get_extra_info("peercert")
    if certificate is not None:
        return name_in(certificate)
    own = transport.get_extra_info("sockname")
    path = own if isinstance(own, str) else ""
    return PurePath(path).name.removesuffix(SOCKET) or UNNAMED


def name_in(certificate: Mapping[str, Any]) -> str:
    """The common name of a certificate, as `ssl` shows it; UNNAMED without exactly one."""
    parts = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in parts if key == "commonName"]
    return names[0] if len(names) == 1 and names[0] else UNNAMED


def label_of(caller: str) -> str:
    """The caller as the label of a metric: strangers are many."""
    return caller if caller in KEY_GRANTS else OTHER
