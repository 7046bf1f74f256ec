"""Tokens against requests that another site makes in somebody's name.

The token is derived from the session's id, which no page and no script can read: it needs no storage, belongs to that
session alone and ends with it. In local mode there is no cookie that a browser would add, so there is no token;
`streams/access/origins.py` refuses what other sites cause.
"""

import hmac
import re
from collections import deque
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qsl

from markupsafe import Markup
from starlette.requests import Request
from starlette.types import Message, Receive

from streams.access.viewer import optional_viewer

FIELD = "csrf_token"
"""Field of a form, its first one where the form uploads files, and name of the `<meta>` that scripts read."""
HEADER = "x-csrf-token"
"""Header by which scripts send the token."""
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
PEEK_BYTES = 64 * 1024
"""Most bytes of a form that are read to find its token; a form of a page is smaller."""
FIRST_PART_BYTES = 1024
"""Most bytes of an upload that are read to find its token, which is its first part."""

_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)


def token_of(session_id: str) -> str:
    """The token of a session."""
    return hmac.digest(session_id.encode(), b"undertone csrf token", sha256).hex()


def matches(expected: str, given: str | None) -> bool:
    """Whether a request carries the token of its session, compared in constant time."""
    return bool(expected) and given is not None and hmac.compare_digest(expected.encode(), given.encode())


def csrf_token(request: Request) -> str:
    """The token for pages to put into forms and into their `<meta>`; empty where none is needed."""
    asking = optional_viewer(request)
    return "" if asking is None else asking.csrf_token


def csrf_field(request: Request) -> Markup:
    """The hidden field of a form; nothing where none is needed."""
    token = csrf_token(request)
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token) if token else Markup()


def token_in(content_type: str, beginning: bytes) -> str | None:
    """The token in the body of a form; None where it is not found. beginning: the body, or its first bytes."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        pairs = parse_qsl(beginning.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=None)
        values = [value for name, value in pairs if name == FIELD]
        return values[0] if len(values) == 1 else None
    boundary = _BOUNDARY.search(content_type)
    if kind == MULTIPART and boundary is not None:
        return _first_part(boundary[1], beginning)
    return None


def _first_part(boundary: str, beginning: bytes) -> str | None:
    """The token where it is the first part of an upload, as browsers write it."""
    pattern = rf'\s*--{re.escape(boundary)}\r\nContent-Disposition: form-data; name="{FIELD}"\r\n\r\n([0-9a-f]+)\r\n'
    found = re.match(pattern.encode(), beginning)
    return found[1].decode() if found else None


@dataclass(slots=True)
class PeekedBody:
    """`receive` of an ASGI application: the beginning of a body can be looked at before the application reads it."""

    receive: Receive
    _ended: bool = False
    _peeked: deque[Message] = field(default_factory=deque)

    async def __call__(self) -> Message:
        """The next message."""
        return self._peeked.popleft() if self._peeked else await self.receive()

    async def peek(self, least: int) -> bytes:
        """The first bytes of the body, at least as many unless it is shorter."""
        found = b""
        while len(found) < least and not self._ended:
            message = await self.receive()
            self._peeked.append(message)
            self._ended = message["type"] != "http.request" or not message.get("more_body", False)
            found += message.get("body", b"")
        return found
