"""Posting to somebody else's HTTP service, and what its answer means.

    2xx                                          accepted
    400, 406, 409, 411, 413, 414, 415, 422, 431  this request can never succeed → Poison
    anything else, and no answer                 it may pass, or the receiver's address or secret is wrong and somebody
                                                 mends it → Transient

A wrong address or secret refuses everything, so it waits, visibly, rather than throw alerts away. Redirects are not
followed: an alert goes where the operator said. A receiver whose server means something else by these answers gives
`post` a table of its own.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from schemas.errors import ConfigurationError, Poison, Transient

REFUSALS = frozenset({400, 406, 409, 411, 413, 414, 415, 422, 431})
LONGEST_RETRY_AFTER_S = 60.0


def make_client(timeout_s: float) -> httpx.AsyncClient:
    """A client whose every request, answer and all, takes at most about `timeout_s`."""
    return httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, headers={"User-Agent": "undertone"})


def checked_url(url: str | None, variable: str) -> str:
    """The URL without a slash at its end. Raises ConfigurationError when it is none that can be posted to."""
    if not url:
        raise ConfigurationError(f"no receiver: set {variable} to its address, such as https://alerts.example/hook")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{variable} is no http or https address")
    return url.rstrip("/")


def is_refusal(status: int, answer: str) -> bool:
    """Whether an answer says that this request can never succeed, whatever its text."""
    return status in REFUSALS


async def post(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    headers: dict[str, str],
    refused: Callable[[int, str], bool] = is_refusal,
) -> str:
    """Post a JSON body; the text of the answer that accepted it. Raises Poison and Transient as the table above says.

    refused: of a status and the answer's text, whether the request can never succeed. No error names the address or
    the answer's text: they may hold a secret. A `Retry-After` of the receiver is waited for before Transient.
    """
    try:
        answer = await client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except httpx.HTTPError as error:
        raise Transient(f"the receiver did not answer ({type(error).__name__})") from error
    if answer.is_success:
        return answer.text
    if refused(answer.status_code, answer.text):
        raise Poison("receiver:refused", f"the receiver refused it with HTTP {answer.status_code}")
    await asyncio.sleep(_retry_after_s(answer))
    hint = "; check its address and secret" if answer.is_redirect or answer.is_client_error else ""
    raise Transient(f"the receiver answered HTTP {answer.status_code}{hint}")


def _retry_after_s(answer: httpx.Response) -> float:
    """Seconds that the receiver asked for, bounded; a date, which few send, counts as none."""
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_RETRY_AFTER_S) if asked.isdecimal() else 0.0
