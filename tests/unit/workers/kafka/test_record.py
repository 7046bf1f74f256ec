"""What a log line says of a record: where it came from, never whose it is."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from workers.consumer.attempts import PROCESS_DIED
from workers.kafka.record import Source, Unread, about, source_of
from workers.service import logs

NOW_S = 1_790_000_000.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SOURCE = Source("memos.uploaded", 2, 17, b"anna", b"bytes", {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01".encode()})


@pytest.fixture
def log_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users and memos are named in logs by a hash."""
    monkeypatch.setattr(logs, "_key", b"key")


def test_a_record_is_located_and_traced() -> None:
    assert about(SOURCE) == {"topic": "memos.uploaded", "partition": 2, "offset": 17, "trace_id": TRACE}


@pytest.mark.usefixtures("log_key")
def test_users_and_memos_are_hashes() -> None:
    fields = about(SOURCE, "memo-1")
    assert fields["user"] == logs.reference("user", "anna")
    assert fields["memo"] == logs.reference("memo", "memo-1")
    assert not {"anna", "memo-1"} & {str(value) for value in fields.values()}


def test_without_a_key_for_logs_nobody_is_named() -> None:
    assert not {"user", "memo"} & about(SOURCE, "memo-1").keys()


@pytest.mark.usefixtures("log_key")
@pytest.mark.parametrize("value", [None, b"", b"00", b"\xff\xfe"])
def test_a_record_with_a_damaged_trace_and_key_is_still_located(value: bytes | None) -> None:
    damaged = replace(SOURCE, key=b"\xff", headers={"traceparent": value})  # type: ignore[dict-item]
    fields = about(damaged)
    assert {"topic": fields["topic"], "offset": fields["offset"]} == {"topic": "memos.uploaded", "offset": 17}
    assert "trace_id" not in fields


def test_the_time_at_which_a_record_was_taken_makes_it_no_other_record() -> None:
    assert replace(SOURCE, taken_at=1.0) == replace(SOURCE, taken_at=2.0)
    assert replace(SOURCE, offset=18) != SOURCE


def record(value: bytes | None = b"bytes", headers: object = ()) -> SimpleNamespace:
    """A record as a client gives it."""
    return SimpleNamespace(topic="memos.uploaded", partition=2, offset=17, key=b"anna", value=value, headers=headers)


def test_a_record_without_a_timestamp_has_none() -> None:
    assert SOURCE.timestamp_ms == -1
    assert source_of(record(), None).timestamp_ms == -1


def test_a_timestamp_in_milliseconds_is_whole() -> None:
    assert source_of(record(), 1_767_225_600.123 * 1000).timestamp_ms == 1_767_225_600_123


def test_a_record_is_taken_as_it_is() -> None:
    source = source_of(record(headers=(("n", b"1"), ("n", b"2"))), 5)
    assert (source.topic, source.partition, source.offset, source.key) == ("memos.uploaded", 2, 17, b"anna")
    assert (source.value, source.headers, source.poison) == (b"bytes", {"n": b"2"}, None)


def test_a_value_that_was_not_read_is_poison_for_its_reason() -> None:
    source = source_of(record(Unread.because("event:too_large", "too large", b"12345678")), 5)
    assert source.poison is not None
    assert (source.poison.reason, source.poison.detail) == ("event:too_large", "too large")
    assert source_of(record(), 5, PROCESS_DIED).poison is PROCESS_DIED


@pytest.mark.parametrize("value", [b"00-" + b"x" * 900_000, b"00-a\nb-c-01", b"\xff-\x1b[2J", b"--"])
def test_a_trace_that_is_none_is_not_logged(value: bytes) -> None:
    assert "trace_id" not in about(replace(SOURCE, headers={"traceparent": value}))
