"""HTTP POST to a third-party service, and the meaning of its response.

    2xx                                          accepted
    400, 406, 409, 411, 413, 414, 415, 422, 431  this request fails permanently → Poison
    anything else, and no response               a transient error, or a wrong address or secret that an operator fixes
                                                 → Transient

With a wrong address or secret every request fails, so alerts wait, visibly, instead of being dropped. Redirects are not
followed: alerts go only to the configured address. A receiver whose server uses these status codes otherwise passes its
own `refused` to `post`.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from schemas.errors import ConfigurationError, Poison, Transient

REFUSALS = frozenset({400, 406, 409, 411, 413, 414, 415, 422, 431})
LONGEST_RETRY_AFTER_S = 60.0


def make_client(timeout_s: float) -> httpx.AsyncClient:
    """A client whose requests, including the response, take at most about `timeout_s`."""
    return httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, headers={"User-Agent": "undertone"})


def checked_url(url: str | None, variable: str) -> str:
    """The URL without a trailing slash. Raises ConfigurationError unless it is an http or https URL."""
    if not url:
        raise ConfigurationError(f"{variable} is not set: set it to the receiver, such as https://alerts.example/hook")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
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
) -> str:
    """Post a JSON body and return the response text. Raises Poison and Transient by the table above.

    refused: whether a status and response text mean that the request fails permanently. No error contains the address
    or the response text: they may contain a secret. Waits for the receiver's `Retry-After` before Transient.
    """
    try:
        answer = await client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except httpx.HTTPError as error:
        raise Transient(f"receiver unavailable ({type(error).__name__})") from error
    if answer.is_success:
        return answer.text
    if refused(answer.status_code, answer.text):
        raise Poison("receiver:refused", f"receiver refused the alert with HTTP {answer.status_code}")
    await asyncio.sleep(_retry_after_s(answer))
    hint = "; check its address and secret" if answer.is_redirect or answer.is_client_error else ""
    raise Transient(f"receiver returned HTTP {answer.status_code}{hint}")


def _retry_after_s(answer: httpx.Response) -> float:
    """The receiver's `Retry-After` in seconds, limited; a date, which few send, counts as 0."""
    retry_after = answer.headers.get("Retry-After", "")
    return min(float(retry_after), LONGEST_RETRY_AFTER_S) if retry_after.isdecimal() else 0.0
