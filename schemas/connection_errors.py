"""Why a connection failed, in the words of an operator, whichever library reports it."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

_MEANINGS = {
    errno.ECONNREFUSED: "connection refused, so nothing listens there: check the port, and whether the server runs",
    errno.ECONNRESET: "the server closed the connection",
    errno.EPIPE: "the server closed the connection",
    errno.EHOSTUNREACH: "the host cannot be reached: check the network and its firewall",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.ETIMEDOUT: "no answer in time: check the address and the firewall",
    errno.ENOENT: "no such socket: check the path, and whether the server runs",
    errno.EACCES: "permission denied",
}
_CUT = {"IncompleteReadError", "KafkaConnectionError", "RemoteProtocolError"}
"""How libraries say that a connection ended before its answer, by the name of the error."""
NO_HOST = "no such host: check the name"
NO_ANSWER = _MEANINGS[errno.ETIMEDOUT]
_NUMBERS = re.compile(r"\[Errno (-?\d+)\]|Connect call failed|Error (-?\d+) connecting")


def why_unreachable(error: BaseException) -> str:
    """What kept a client from its server, without addresses or content; else the type of the error.

    >>> why_unreachable(ConnectionError("x"))
    'unavailable (ConnectionError)'
    """
    known = (found for each in _causes(error) if (found := _meaning(each)))
    return next(known, f"unavailable ({type(error).__name__})")


def address_of(url: str) -> str:
    """Scheme, host and port of a URL: a user, a password, a path and a query may be secrets.

    >>> address_of("https://user:pw@hooks.example:8443/services/T0/secret?token=1")
    'https://hooks.example:8443'
    """
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "an invalid address"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _meaning(error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved now" if error.errno == socket.EAI_AGAIN else NO_HOST
    if isinstance(error, ssl.SSLError):
        return "the encrypted connection failed: check certificates, and whether the server expects encryption"
    if isinstance(error, TimeoutError):
        return NO_ANSWER
    if type(error).__name__ in _CUT:
        return _MEANINGS[errno.ECONNRESET]
    if not isinstance(error, OSError):
        return None
    # Of several addresses, asyncio and anyio raise one error whose text, or whose group, has the numbers.
    numbers = [error.errno, *(int(n) for found in _NUMBERS.findall(str(error)) for n in found if n)]
    return next((_MEANINGS.get(n) or os.strerror(n).lower() for n in numbers if n is not None and n > 0), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, innermost first: libraries wrap what the system says in errors of their own."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    yield from reversed(chain)
