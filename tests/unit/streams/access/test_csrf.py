"""Tokens of forms."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from streams.access.csrf import PeekedBody, csrf_field, csrf_token, matches, token_in, token_of
from streams.access.viewer import LOCAL, StaffRole, Viewer

TOKEN = token_of("session-1")
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def request(asking: Viewer | None) -> Request:
    return Request({"type": "http", "headers": [], "state": {"viewer": asking}})


def test_a_token_is_of_one_session() -> None:
    assert matches(TOKEN, token_of("session-1"))
    assert not matches(TOKEN, token_of("session-2"))
    for other in (None, "", "é"):
        assert not matches(TOKEN, other)
    assert not matches("", "")


def test_a_form_holds_the_token_of_its_session() -> None:
    asking = request(Viewer("ann", frozenset({StaffRole.CLINICIAN}), csrf_token=TOKEN))
    assert str(csrf_field(asking)) == f'<input type="hidden" name="csrf_token" value="{TOKEN}">'
    assert csrf_token(asking) == TOKEN


@pytest.mark.parametrize("asking", [None, LOCAL])
def test_without_a_session_there_is_no_token(asking: Viewer | None) -> None:
    assert str(csrf_field(request(asking))) == csrf_token(request(asking)) == ""


def test_the_token_of_a_form() -> None:
    assert token_in(FORM, f"note=a%26b&csrf_token={TOKEN}".encode()) == TOKEN
    assert token_in(FORM, b"note=csrf_token") is None
    assert token_in(FORM, f"csrf_token={TOKEN}&csrf_token=x".encode()) is None
    assert token_in("application/json", f'{{"csrf_token": "{TOKEN}"}}'.encode()) is None
    assert token_in(FORM, b"\xff=%ff") is None


def multipart(name: str, value: str, boundary: str = "----x1") -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--{boundary}'.encode()


def test_the_token_of_an_upload_is_its_first_part() -> None:
    kind = "multipart/form-data; boundary=----x1"
    assert token_in(kind, multipart("csrf_token", TOKEN) + b"\r\naudio") == TOKEN
    assert token_in(kind, multipart("note", "x") + multipart("csrf_token", TOKEN)) is None
    assert token_in(kind, multipart("csrf_token", TOKEN, "----x2")) is None
    assert token_in("multipart/form-data", multipart("csrf_token", TOKEN)) is None


def body_of(*parts: bytes) -> PeekedBody:
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return PeekedBody(receive)


async def test_what_is_peeked_at_comes_again() -> None:
    body = body_of(b"abc", b"def", b"ghi")
    assert await body.peek(4) == b"abcdef"
    assert b"".join([(await body())["body"] for _ in range(3)]) == b"abcdefghi"
    assert (await body())["type"] == "http.disconnect"


async def test_a_short_body_is_peeked_at_whole() -> None:
    body = body_of(b"abc")
    assert await body.peek(1000) == b"abc"
    assert (await body())["body"] == b"abc"


async def test_nothing_is_read_before_somebody_asks() -> None:
    assert (await body_of(b"x")())["body"] == b"x"
