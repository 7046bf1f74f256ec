"""Objects from HTTP servers that misbehave in every way: the whole object, or an error, in time."""

import gzip
import time
from collections.abc import Callable

import pytest

from schemas.errors import Poison, Transient
from tests.raw_server import CHUNK, Connection, Misbehave, always, misbehaving, ok, status
from workers.storage.http_object import HttpObjects
from workers.storage.outcomes import Busy, Denied, Missing
from workers.storage.uri import Place, place

BODY = bytes(range(256)) * 500
MAX_BYTES = 1_000_000
SOON_S = 0.4
"""Timeout of reads that must meet it."""
MUCH_LATER_S = 20.0
"""A read that takes this long is not cut at its timeout, however busy the machine is."""


def read(misbehave: Misbehave, path: str = "/memos/a.wav", within_s: float = 30.0) -> bytes:
    """One read from a server that misbehaves so; the prefix is its `/memos`."""
    with misbehaving(misbehave) as server:
        prefix = place(f"{server.url}/memos")
        return HttpObjects(prefix.holds, MAX_BYTES, within_s).read(place(server.url + path))


def test_a_body_without_a_length_is_read_to_its_end() -> None:
    async def in_pieces(connection: Connection) -> None:
        await connection.send(ok(b"", length=None))
        for start in range(0, len(BODY), 5000):
            await connection.send(BODY[start : start + 5000])

    assert read(in_pieces) == BODY


def test_a_body_in_chunks_and_one_with_a_length_are_whole() -> None:
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:])) + b"0\r\n\r\n"
    assert read(always(ok(chunked, "Transfer-Encoding: chunked", length=None))) == BODY
    assert read(always(ok(BODY))) == BODY
    assert read(always(ok(b""))) == b""


@pytest.mark.parametrize(
    "answer",
    [
        ok(BODY[:-1], length=len(BODY)),
        ok(b"ff\r\nshort", "Transfer-Encoding: chunked", length=None),
        ok(b"5\r\nwhole\r\n", "Transfer-Encoding: chunked", length=None),
        ok(BODY, "Content-Length: -5", length=None),
        ok(BODY, "Content-Length: 3"),
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        status(204),
        status(206),
    ],
)
def test_less_than_the_whole_is_an_error_that_is_retried(answer: bytes) -> None:
    with pytest.raises(Transient) as failure:
        read(always(answer))
    assert not isinstance(failure.value, Missing)


@pytest.mark.parametrize("code", [400, 402, 405, 408, 421, 451, 500, 501, 502, 504, 507, 520, 599, 304, 300, 999])
def test_any_other_status_is_retried_and_never_a_missing_object(code: int) -> None:
    with pytest.raises(Transient, match=f"HTTP {code}") as failure:
        read(always(status(code)))
    assert not isinstance(failure.value, Missing)


@pytest.mark.parametrize("code", [404, 410])
def test_two_statuses_say_that_there_is_no_object(code: int) -> None:
    with pytest.raises(Missing):
        read(always(status(code)))


@pytest.mark.parametrize("code", [401, 403, 407])
def test_a_denial_names_what_to_check(code: int) -> None:
    with pytest.raises(Denied, match=f"HTTP {code}.*credentials"):
        read(always(status(code)))


@pytest.mark.parametrize(
    ("code", "header", "wait_s"),
    [(429, "7", 7.0), (503, "1", 1.0), (503, "9" * 300, 60.0), (429, "-3", 0.0), (503, "", 0.0)],
)
def test_a_server_may_ask_for_time_but_not_for_ever(code: int, header: str, wait_s: float) -> None:
    with pytest.raises(Busy, match=f"HTTP {code}") as busy:
        read(always(status(code, f"Retry-After: {header}")))
    assert busy.value.retry_after_s == wait_s


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "GZIP"])
def test_an_encoded_body_is_refused_and_never_inflated(coding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(Poison) as refused:
        read(always(ok(bomb, f"Content-Encoding: {coding}")))
    assert refused.value.reason == "audio:content_encoding"


def test_no_encoding_is_asked_for() -> None:
    with misbehaving(always(ok(BODY))) as server:
        HttpObjects(lambda _: True, MAX_BYTES, 30.0).read(place(f"{server.url}/a"))
        (connection,) = server.connections
    assert b"accept-encoding: identity" in connection.head.lower()


@pytest.mark.parametrize("length", [MAX_BYTES + 1, 10**18])
def test_a_length_past_the_limit_is_refused_before_the_body(length: int) -> None:
    async def declare(connection: Connection) -> None:
        await connection.send(ok(b"", length=length))
        await connection.wait()

    with pytest.raises(Poison, match="larger than the maximum"):
        read(declare)


def test_a_body_without_an_end_is_read_up_to_the_limit() -> None:
    async def endless(connection: Connection) -> None:
        await connection.send(ok(b"", length=None))
        await connection.send_forever(CHUNK)

    with misbehaving(endless) as server:
        with pytest.raises(Poison, match="larger than the maximum"):
            HttpObjects(lambda _: True, MAX_BYTES, 60.0).read(place(f"{server.url}/a"))
        assert server.sent < 30 * MAX_BYTES, "what the kernel buffers, and no more"


async def silent(connection: Connection) -> None:
    await connection.wait()


async def dripping_headers(connection: Connection) -> None:
    await connection.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 10_000)


async def dripping_body(connection: Connection) -> None:
    await connection.send(ok(b"", length=10_000))
    await connection.drip(BODY)


async def informing(connection: Connection) -> None:
    await connection.send_forever(b"HTTP/1.1 103 Early Hints\r\n\r\n", every_s=0.02)


@pytest.mark.parametrize("stalling", [silent, dripping_headers, dripping_body, informing])
def test_a_server_that_stalls_or_drips_is_cut_at_the_timeout(stalling: Misbehave) -> None:
    began = time.monotonic()
    with pytest.raises(Transient, match=r"within 0\.4 s"):
        read(stalling, within_s=SOON_S)
    assert time.monotonic() - began < MUCH_LATER_S


def test_a_connection_that_is_refused_or_reset_is_retried() -> None:
    async def reset(connection: Connection) -> None:
        await connection.send(ok(BODY[:100], length=len(BODY)))
        connection.reset()

    with pytest.raises(Transient):
        read(reset)
    with misbehaving(silent) as server:
        closed = place(f"{server.url}/a")
    with pytest.raises(Transient, match=r"audio storage http://127\.0\.0\.1:\d+ failed: connection refused"):
        HttpObjects(lambda _: True, MAX_BYTES, 30.0).read(closed)


def redirecting(location: Callable[[Connection], str], code: int = 302) -> Misbehave:
    async def redirect(connection: Connection) -> None:
        if connection.path == "/memos/a.wav":
            await connection.send(status(code, f"Location: {location(connection)}"))
        else:
            await connection.send(ok(BODY))

    return redirect


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/memos/b.wav", "b.wav", "/memos/of%20may/b.wav"])
def test_a_redirect_under_the_prefix_is_followed(code: int, location: str) -> None:
    assert read(redirecting(lambda _: location, code)) == BODY


@pytest.mark.parametrize(
    "location",
    [
        "/secret",
        "../secret",
        "/memos/../secret",
        "/memos/%2e%2e/secret",
        "/memos/%252e%252e/secret",
        "/memos//secret",
        "/memos/..;/secret",
        "/memos\\..\\secret",
        "/memos/b.wav?next=/secret",
        "//127.0.0.1/memos/b.wav",
        "http://127.0.0.1:1/memos/b.wav",
        "http://localhost/memos/b.wav",
        "https://127.0.0.1/memos/b.wav",
        "http://user@127.0.0.1/memos/b.wav",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/hostname",
        "file:/etc/hostname",
        "ftp://127.0.0.1/memos/b.wav",
        "http://[",
        "http://127.0.0.1:999999/memos/b.wav",
    ],
)
def test_a_redirect_elsewhere_is_refused_and_not_requested(location: str) -> None:
    with misbehaving(redirecting(lambda _: location)) as server:
        prefix = place(f"{server.url}/memos")
        with pytest.raises(Poison, match="redirected") as refused:
            HttpObjects(prefix.holds, MAX_BYTES, 30.0).read(place(f"{server.url}/memos/a.wav"))
        assert [connection.path for connection in server.connections] == ["/memos/a.wav"]
    assert refused.value.reason == "audio:uri_refused"
    assert "secret" not in str(refused.value)


def test_redirects_to_another_server_reach_it_only_when_a_prefix_allows_it() -> None:
    with misbehaving(always(ok(b"elsewhere"))) as other:
        target = place(f"{other.url}/memos/b.wav")
        misbehave = redirecting(lambda _: f"{other.url}/memos/b.wav")
        with misbehaving(misbehave) as server:
            asked = place(f"{server.url}/memos/a.wav")

            def reading(*prefixes: Place) -> HttpObjects:
                return HttpObjects(lambda each: any(p.holds(each) for p in prefixes), MAX_BYTES, 30.0)

            with pytest.raises(Poison):
                reading(asked).read(asked)
            assert other.connections == []
            assert reading(asked, target).read(asked) == b"elsewhere"


def test_redirects_in_a_circle_end() -> None:
    async def circle(connection: Connection) -> None:
        await connection.send(status(302, f"Location: {connection.path}"))

    with misbehaving(circle) as server:
        with pytest.raises(Poison, match="more than 5 times"):
            HttpObjects(lambda _: True, MAX_BYTES, 30.0).read(place(f"{server.url}/memos/a.wav"))
        assert len(server.connections) == 6


def test_cookies_are_neither_kept_nor_sent() -> None:
    with misbehaving(always(ok(BODY, "Set-Cookie: a=1"))) as server:
        objects = HttpObjects(lambda _: True, MAX_BYTES, 30.0)
        for _ in range(2):
            objects.read(place(f"{server.url}/a"))
        assert not any(b"cookie" in connection.head.lower() for connection in server.connections)
