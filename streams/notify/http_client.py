"""HTTP POST to a third-party service, and the meaning of its response.

    2xx                                          accepted
    400, 406, 409, 411, 413, 414, 415, 422, 431  this request fails permanently → Poison
    anything else, and no response               a transient error, or a wrong address or secret that an operator fixes
                                                 → Transient

The status decides; of the answer's body at most `ANSWER_BYTES` are read, as they come, and for no longer than the
request's timeout, which counts from the connection on. Cookies are dropped.

With a wrong address or secret every request fails, so alerts wait, visibly, instead of being dropped. Redirects are not
followed: alerts go only to the configured address. A receiver whose server uses these status codes otherwise passes its
own `refused` to `post`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import httpx

from schemas.connection_errors import address_of, why_unreachable
from schemas.errors import ConfigurationError, Poison, Transient
from workers.service.retry_after import retry_after_s

REFUSALS = frozenset({400, 406, 409, 411, 413, 414, 415, 422, 431})
LONGEST_RETRY_AFTER_S = 60.0
ANSWER_BYTES = 64 * 1024
"""Most bytes of an answer that are read: enough for the id of a message or the name of an error."""


class RetryLater(Transient):
    """The receiver asks to be left alone for `wait_s` seconds, at most `LONGEST_RETRY_AFTER_S`."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def make_client(timeout_s: float) -> httpx.AsyncClient:
    """A client for `post`, whose requests, including the answer, take at most `timeout_s`."""
    return httpx.AsyncClient(
        timeout=timeout_s,
        follow_redirects=False,
        headers={"User-Agent": "undertone", "Accept-Encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


def checked_url(url: str | None, variable: str) -> str:
    """The URL without a trailing slash. Raises ConfigurationError unless it is an http or https URL."""
    if not url:
        raise ConfigurationError(f"{variable} is not set: set it to the receiver, such as https://alerts.example/hook")
    try:
        parts = httpx.URL(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.host) and (parts.port is None or parts.port < 65536)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise ConfigurationError(f"{variable} is not an http or https URL")
    return url.rstrip("/")


def is_refusal(status: int, answer: str) -> bool:
    """Whether a status means that this request fails permanently, whatever the response text."""
    return status in REFUSALS


async def post(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    headers: dict[str, str],
    refused: Callable[[int, str], bool] = is_refusal,
    *,
    setting: str,
    method: str = "POST",
) -> str:
    """Post a JSON body and return the start of the response text. Raises Poison and Transient by the table above.

    client: of `make_client`; refused: whether a status and response text mean that the request fails permanently;
    setting: variable of the address, for messages; method: of HTTP, where a receiver wants another one. No error
    contains the path of the address or the response text: they may contain a secret. A status that is transient is
    RetryLater: the caller waits as long as it asks for.
    """
    timeout_s = client.timeout.read
    deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
    request = client.build_request(method, url, content=body, headers={"Content-Type": "application/json", **headers})
    try:
        async with asyncio.timeout_at(deadline):
            answer = await client.send(request, stream=True)
    except TimeoutError:
        raise Transient(f"{setting}={address_of(url)}: receiver did not answer within {timeout_s:g} s") from None
    except httpx.HTTPError as error:
        raise Transient(f"{setting}={address_of(url)}: {why_unreachable(error)}") from error
    try:
        text = await _beginning(answer, deadline)
    finally:
        await answer.aclose()
    if answer.is_success:
        return text
    if refused(answer.status_code, text):
        raise Poison("receiver:refused", f"receiver refused the alert with HTTP {answer.status_code}")
    wait_s = retry_after_s(answer.headers.get("Retry-After", ""), datetime.now(UTC), LONGEST_RETRY_AFTER_S)
    hint = "; check its address and secret" if answer.is_redirect or answer.is_client_error else ""
    raise RetryLater(f"{setting}={address_of(url)}: receiver returned HTTP {answer.status_code}{hint}", wait_s)


async def _beginning(answer: httpx.Response, deadline: float | None) -> str:
    """The start of an answer, as it was sent: encodings are not undone. Its end, or why there is none, changes nothing.

    deadline: of the event loop's clock.
    """
    data, chunks = bytearray(), cast("AsyncGenerator[bytes, None]", answer.aiter_raw())
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout_at(deadline), aclosing(chunks):
            async for chunk in chunks:
                data += chunk[: ANSWER_BYTES - len(data)]
                if len(data) == ANSWER_BYTES:
                    break
    return data.decode(errors="replace")
