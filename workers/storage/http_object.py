"""Read an object over HTTP: bounded in bytes and, from the connection to the last byte, in time.

    200        the whole body, or an error: a body shorter than its Content-Length is none
    3xx        followed hop by hop, each to a place that the prefixes allow; else Poison
    401, 403, 407               Denied
    404, 410                    Missing
    429 and 503                 Busy, with the server's Retry-After
    others, and no answer       Transient

No encoding is asked for, and a body that comes encoded is refused: what it inflates to has no bound.
"""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote, urljoin

import httpx
from fsspec.asyn import get_loop

from schemas.connection_errors import address_of, why_unreachable
from schemas.errors import Poison, Transient
from workers.service.retry_after import retry_after_s
from workers.storage.outcomes import DENIED, GONE, Busy, denied, missing, too_large
from workers.storage.uri import Place, place, refused

HOPS = 5
"""Redirects that are followed for one object."""
LONGEST_RETRY_AFTER_S = 60.0
LATE_S = 5.0
"""Seconds that the event loop may be behind before a read counts as failed without its answer."""
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "undertone"}


class HttpObjects:
    """Reads objects over HTTP. Thread-safe; each request has a connection of its own, and so no stale one.

    allowed: whether a redirect to a place may be followed; within_s: of one read, everything included.
    """

    def __init__(self, allowed: Callable[[Place], bool], max_bytes: int, within_s: float) -> None:
        self._allowed, self._max_bytes, self._within_s = allowed, max_bytes, within_s
        # Of the system's certificate authorities; below the client, which keeps cookies and inflates bodies.
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl.create_default_context(), limits=httpx.Limits(max_keepalive_connections=0)
        )

    def read(self, where: Place) -> bytes:
        """The object's bytes. Raises Poison and Transient by the table above."""
        reading = asyncio.run_coroutine_threadsafe(self._read(where), get_loop())
        try:
            return reading.result(self._within_s + LATE_S)
        except TimeoutError:
            reading.cancel()
            raise Transient(f"audio storage did not deliver an object within {self._within_s:g} s") from None

    async def _read(self, where: Place) -> bytes:
        try:
            async with asyncio.timeout(self._within_s):
                for _ in range(HOPS + 1):
                    answered = await self._answer(where)
                    if isinstance(answered, bytes):
                        return answered
                    where = answered
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise Transient(f"audio storage {address_of(where.url)} failed: {why_unreachable(error)}") from error
        raise refused(f"is redirected more than {HOPS} times")

    async def _answer(self, where: Place) -> bytes | Place:
        """The body, or where the server redirects to."""
        answer = await self._transport.handle_async_request(httpx.Request("GET", where.url, headers=HEADERS))
        try:
            if answer.has_redirect_location:
                return self._target(where, answer.headers["location"])
            _check_status(answer)
            return await self._body(answer)
        finally:
            await answer.aclose()

    def _target(self, where: Place, location: str) -> Place:
        try:
            # Decoded once, as the request encodes it once; what is still an escape then is refused.
            target = place(urljoin(where.url, unquote(location, errors="strict")))
        except (Poison, ValueError):
            raise refused("is redirected to an address that is ambiguous or has a query") from None
        if target.scheme == "file" or not self._allowed(target):
            raise refused("is redirected to a place outside the configured prefixes (audio_prefixes)")
        return target

    async def _body(self, answer: httpx.Response) -> bytes:
        # The parser has refused a length that is none, or two that differ, and refuses a body that is shorter.
        if int(answer.headers.get("content-length", 0)) > self._max_bytes:
            raise too_large(self._max_bytes)
        data = bytearray()
        async for chunk in answer.aiter_raw():
            data += chunk
            if len(data) > self._max_bytes:
                raise too_large(self._max_bytes)
        return bytes(data)


def _check_status(answer: httpx.Response) -> None:
    """Raise what the table says unless the whole object follows as it is stored."""
    status = answer.status_code
    if status in GONE:
        raise missing()
    if status in DENIED:
        raise denied(f"HTTP {status}")
    if status in {429, 503}:
        wait_s = retry_after_s(answer.headers.get("retry-after", ""), datetime.now(UTC), LONGEST_RETRY_AFTER_S)
        raise Busy(f"audio storage returned HTTP {status}", wait_s)
    if status != 200:
        raise Transient(f"audio storage returned HTTP {status}")
    encodings = {each.strip().lower() for each in answer.headers.get("content-encoding", "").split(",")}
    if encodings - {"", "identity"}:
        raise Poison(
            "audio:content_encoding",
            "the audio object is served with a Content-Encoding: store and serve it without compression",
        )
