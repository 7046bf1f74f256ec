import contextlib
import gzip
import json
import logging
import socket
import struct
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from schemas.codec import Codec, DecodeError
from schemas.errors import ConfigurationError, Transient
from schemas.events import MemoUploaded, RiskScored
from schemas.schema_registry import ANSWER_BYTES, REFUSED_MOST, REFUSED_S, SCHEMAS_MOST, HttpRegistry, register_subjects
from schemas.topics import TOPICS
from schemas.writer_schemas import SCHEMA_BYTES
from tests.unit.schemas.records import EXAMPLES, SCORED, UPLOADED
from tests.unit.schemas.registry_server import RegistryServer, registry_server

PASSWORD = "p@ss/w:rd"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as server:
        yield server


@pytest.fixture
def registry(server: RegistryServer) -> HttpRegistry:
    return HttpRegistry(server.url)


def test_records_come_back_through_a_registry(server: RegistryServer, registry: HttpRegistry) -> None:
    codec = Codec(registry)
    for record in EXAMPLES:
        data = codec.encode(record, f"{type(record).__name__}-value")
        magic, schema_id = struct.unpack(">bI", data[:5])
        assert magic == 0
        assert json.loads(server.schemas[schema_id - 1]["schema"])["name"] == type(record).__name__
        assert codec.decode(data, type(record)) == record
    assert "MemoUploaded-value" in server.subjects


def test_each_schema_is_asked_for_once(server: RegistryServer, registry: HttpRegistry) -> None:
    for _ in range(3):
        Codec(registry).decode(Codec(registry).encode(UPLOADED, "memos.uploaded-value"), MemoUploaded)
    assert server.requests == ["POST /subjects/memos.uploaded-value/versions", "GET /schemas/ids/1"]


def test_subjects_are_quoted(server: RegistryServer, registry: HttpRegistry) -> None:
    registry.id_of("odd/name value", '"string"')
    assert server.requests == ["POST /subjects/odd%2Fname%20value/versions"]
    assert server.subjects == {"odd/name value"}


def test_a_writers_newer_schema_is_read(server: RegistryServer, registry: HttpRegistry) -> None:
    codec = Codec(registry)
    data = codec.encode(UPLOADED, "s")
    schema = json.loads(server.schemas[0]["schema"])
    schema["fields"].append({"name": "device", "type": "string", "default": ""})
    server.schemas.append({"schema": json.dumps(schema)})
    newer = b"\x00\x00\x00\x00\x02" + data[5:] + b"\x0aphone"
    assert codec.decode(newer, MemoUploaded) == UPLOADED


def test_another_records_schema_is_no_such_record(registry: HttpRegistry) -> None:
    data = Codec(registry).encode(SCORED, "s")
    with pytest.raises(DecodeError, match="not a MemoUploaded"):
        Codec(registry).decode(data, MemoUploaded)
    assert Codec(registry).decode(data, RiskScored) == SCORED


def test_an_unknown_id_is_a_broken_record(registry: HttpRegistry) -> None:
    with pytest.raises(DecodeError, match="the schema registry has no schema 99"):
        Codec(registry).decode(b"\x00\x00\x00\x00\x63rest", MemoUploaded)


@pytest.mark.parametrize(
    "stored",
    [
        {"schema": "{}", "schemaType": "JSON"},
        {"schema": '"Other"', "references": [{"name": "Other", "subject": "o", "version": 1}]},
        {"schema": "{"},
        {"schema": '{"type": "record"}'},
        {"schema": '"nothing"'},
    ],
)
def test_what_is_no_avro_schema_is_a_broken_record(
    server: RegistryServer, registry: HttpRegistry, stored: dict[str, object]
) -> None:
    server.schemas.append(stored)
    with pytest.raises(DecodeError, match="Avro schema"):
        Codec(registry).decode(b"\x00\x00\x00\x00\x01rest", MemoUploaded)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_registry_in_trouble_may_answer_later(server: RegistryServer, registry: HttpRegistry, status: int) -> None:
    server.fails_with = status
    with pytest.raises(Transient, match=f"{status} for schema 1"):
        registry.schema_of(1)
    server.fails_with = None
    assert registry.id_of("s", '"string"') == 1
    assert registry.schema_of(1) == '"string"'


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "user, password"),
        (403, "permissions"),
        (404, "is SCHEMA_REGISTRY_URL"),
        (409, "incompatible"),
        (422, "422"),
    ],
)
def test_a_refusal_is_a_wrong_setting(server: RegistryServer, registry: HttpRegistry, status: int, hint: str) -> None:
    server.fails_with = status
    with pytest.raises(ConfigurationError, match=hint):
        registry.id_of("memos.uploaded-value", '"string"')


@pytest.mark.parametrize("says", [b"<html>", b"[1]", b'"x"', b"{}", b'{"id": "one", "schema": 1}'])
def test_an_answer_of_something_else_is_a_wrong_setting(
    server: RegistryServer, registry: HttpRegistry, says: bytes
) -> None:
    server.says = says
    with pytest.raises(ConfigurationError, match="is this a schema registry"):
        registry.id_of("s", '"string"')
    with pytest.raises(ConfigurationError, match="is this a schema registry"):
        registry.schema_of(1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_unknown_ids_cost_few_requests_and_little_memory(server: RegistryServer) -> None:
    clock = Clock()
    registry = HttpRegistry(server.url, clock=clock)
    for schema_id in range(1, 5_000):
        with pytest.raises(DecodeError):
            registry.schema_of(schema_id)
    assert len(server.requests) == REFUSED_MOST
    assert len(registry._refused) == REFUSED_MOST
    server.schemas.append({"schema": '"string"'})
    clock.now = REFUSED_S
    assert registry.schema_of(1) == '"string"'
    assert len(registry._refused) == 0


def test_schemas_that_are_known_are_read_while_unknown_ids_are_not(server: RegistryServer) -> None:
    registry = HttpRegistry(server.url, clock=Clock())
    known = registry.id_of("s", '"string"')
    assert registry.schema_of(known) == '"string"'
    for schema_id in range(10, 10 + REFUSED_MOST):
        with pytest.raises(DecodeError, match="has no schema"):
            registry.schema_of(schema_id)
    with pytest.raises(DecodeError, match="not asked for more"):
        registry.schema_of(5)
    assert registry.schema_of(known) == '"string"'


def test_the_schemas_that_are_remembered_are_few(server: RegistryServer, registry: HttpRegistry) -> None:
    server.schemas += [{"schema": json.dumps({"type": "string", "n": n})} for n in range(SCHEMAS_MOST + 10)]
    for schema_id in range(1, len(server.schemas) + 1):
        registry.schema_of(schema_id)
    assert len(registry._schemas) == SCHEMAS_MOST


@pytest.mark.parametrize(
    "says",
    [
        b"<html>",
        b"[" * 100_000,
        b"\xff",
        b"[1]",
        b'{"id": true}',
        b'{"id": -1}',
        b'{"id": 4294967296}',
        b'{"id": 1, "pad": "' + b"x" * ANSWER_BYTES + b'"}',
    ],
    ids=lambda says: repr(says[:20]),
)
@pytest.mark.parametrize("status", [None, 401, 403, 404, 422])
def test_a_registry_that_has_answered_once_may_answer_so_again(
    server: RegistryServer, registry: HttpRegistry, says: bytes, status: int | None
) -> None:
    assert registry.id_of("s", '"string"') == 1
    server.says, server.fails_with = says, status
    with pytest.raises(Transient):
        registry.id_of("other", '"string"')
    with pytest.raises((Transient, DecodeError)) as caught:
        registry.schema_of(7)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("size", [SCHEMA_BYTES, 2 * ANSWER_BYTES])
def test_a_schema_that_is_too_large_is_asked_for_once(
    server: RegistryServer, registry: HttpRegistry, size: int
) -> None:
    server.schemas.append({"schema": json.dumps({"type": "string", "doc": "x" * size})})
    for _ in range(3):
        with pytest.raises(DecodeError, match="larger than"):
            registry.schema_of(1)
    assert len(server.requests) == 1


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ENDLESS = {
    "a head": (b"HTTP/1.1 200 OK\r\nx-pad: ", b"a"),
    "a body": (HEAD + b"\r\n", b" "),
    "a body in large pieces": (HEAD + b"\r\n", bytes(1_000_000)),
    "an inflated body": (HEAD + b"content-encoding: gzip\r\n\r\n", gzip.compress(bytes(50_000_000))),
}


@contextlib.contextmanager
def endless(first: bytes, then: bytes) -> Iterator[tuple[str, list[int]]]:
    """A server whose answer does not end: its address, and how many bytes it could send."""
    stop, sent = Event(), [0]

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(first)
                while not stop.wait(0.01):
                    sent[0] += connection.send(then)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", sent
        finally:
            stop.set()
            thread.join(5)


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_an_end_is_bounded_in_time_and_bytes(name: str) -> None:
    with endless(*ENDLESS[name]) as (url, sent), pytest.raises((Transient, DecodeError)):
        HttpRegistry(url, timeout_s=1.0).schema_of(1)
    assert sent[0] < 20_000_000  # what the sockets buffer, and little more than the maximum


def test_nobody_there_may_be_somebody_later() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://user:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(
            Transient, match=r"SCHEMA_REGISTRY_URL=http://127\.0\.0\.1:\d+: connection refused"
        ) as caught:
            HttpRegistry(url).schema_of(1)
    assert PASSWORD not in str(caught.value)
    assert "p%40ss" not in str(caught.value)


def test_user_and_password_of_the_url_are_used_and_never_shown(
    server: RegistryServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.password = f"user:{PASSWORD}"
    with caplog.at_level(logging.DEBUG):
        registry = HttpRegistry(f"http://user:p%40ss%2Fw%3Ard@127.0.0.1:{server.port}")
        assert registry.id_of("s", '"string"') == 1
        registry = HttpRegistry(f"http://user:wrong-one@127.0.0.1:{server.port}")
        with pytest.raises(ConfigurationError, match="check user, password") as caught:
            registry.id_of("s", '"string"')
    assert caplog.records
    for message in (caplog.text, str(caught.value)):
        assert "p%40ss" not in message
        assert PASSWORD not in message
        assert "wrong-one" not in message


def test_a_path_before_the_interface_is_kept(server: RegistryServer) -> None:
    with pytest.raises(ConfigurationError):
        HttpRegistry(f"{server.url}/apis/ccompat/v7/").id_of("s", '"string"')
    assert server.requests == ["POST /apis/ccompat/v7/subjects/s/versions"]


@pytest.mark.parametrize("url", ["registry:8081", "ftp://secret@host", "http://", "http://[::1", ""])
def test_what_is_no_address_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SCHEMA_REGISTRY_URL") as caught:
        HttpRegistry(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_all_subjects_are_registered_as_writers_do_and_again_without_effect(
    server: RegistryServer, registry: HttpRegistry
) -> None:
    first = dict(register_subjects(registry))
    Codec(HttpRegistry(server.url)).encode(UPLOADED, "memos.uploaded-value")
    assert dict(register_subjects(HttpRegistry(server.url))) == first
    assert server.subjects == set(first) == {f"{topic.name}-value" for topic in TOPICS}
    assert len(server.schemas) == len(TOPICS)
