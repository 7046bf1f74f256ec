"""The beginning of a body, which the application still reads whole."""

from starlette.types import Message

from streams.access.request_body import PeekedBody


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
