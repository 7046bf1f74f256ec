from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given

from schemas.events import Modality, Record
from schemas.headers import TRACESTATE_BYTES, headers_for, headers_of
from tests.unit.schemas.records import ALERT, AT, DEAD, EXAMPLES, FEATURES, SCORED, UPLOADED, records

# The example of the W3C Trace Context specification.
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def trace(headers: list[tuple[str, bytes]]) -> list[str]:
    return dict(headers)["traceparent"].decode().split("-")


def test_cloudevents_attributes_stand_in_headers() -> None:
    headers = dict(headers_for("id-1", "undertone.v1.RiskScored", "/undertone/fusion", AT, None))
    assert headers.pop("traceparent")
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_type": b"undertone.v1.RiskScored",
        "ce_source": b"/undertone/fusion",
        "ce_time": b"2026-03-01T12:30:15.250Z",
        "content-type": b"application/avro",
    }


def test_time_is_given_in_utc_and_needs_a_zone() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert headers_for("a", "b", "c", east, None) == headers_for("a", "b", "c", AT, None)
    with pytest.raises(ValueError, match="without a zone"):
        headers_for("a", "b", "c", datetime(2026, 3, 1), None)


def test_a_child_keeps_the_trace_and_has_a_span_of_its_own() -> None:
    version, trace_id, span, flags = trace(headers_for("a", "b", "c", AT, {"traceparent": PARENT}))
    assert (version, trace_id, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01")
    assert span not in {"00f067aa0ba902b7", "0" * 16}
    assert len(span) == 16


def test_an_unsampled_trace_stays_unsampled_and_unknown_flags_are_cleared() -> None:
    assert trace(headers_for("a", "b", "c", AT, {"traceparent": PARENT[:-2] + b"00"}))[3] == "00"
    assert trace(headers_for("a", "b", "c", AT, {"traceparent": PARENT[:-2] + b"ff"}))[3] == "01"


def test_tracestate_goes_with_its_trace_and_with_no_other() -> None:
    state = {"tracestate": b"vendor=1"}
    assert dict(headers_for("a", "b", "c", AT, {"traceparent": PARENT, **state}))["tracestate"] == b"vendor=1"
    assert "tracestate" not in dict(headers_for("a", "b", "c", AT, {"traceparent": b"nonsense", **state}))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xff\xfe",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + b"-00",
        b"ff" + PARENT[2:],
        PARENT.replace(b"4bf92f3577b34da6a3ce929d0e0e4736", b"0" * 32),
        PARENT.replace(b"00f067aa0ba902b7", b"0" * 16),
        b" " + PARENT,
    ],
)
def test_a_parent_that_cannot_be_read_starts_a_new_trace(broken: bytes) -> None:
    assert headers_for("a", "b", "c", AT, {"traceparent": broken}) == headers_for("a", "b", "c", AT, None)


def test_a_parent_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = b"cc" + PARENT[2:] + b"-what-the-future-will-be-like"
    assert trace(headers_for("a", "b", "c", AT, {"traceparent": later}))[1] == "4bf92f3577b34da6a3ce929d0e0e4736"


@given(records)
def test_publishing_again_gives_the_same_headers(record: Record) -> None:
    assert headers_of(record, "stage", None) == headers_of(replace(record), "stage", None)


def test_two_users_memos_of_one_id_share_neither_trace_nor_id() -> None:
    for record in (UPLOADED, FEATURES, SCORED, ALERT):
        one, other = (dict(headers_of(each, "stage", None)) for each in (record, replace(record, user_id="other")))
        assert one["traceparent"].split(b"-")[1] != other["traceparent"].split(b"-")[1]
        assert (one["ce_id"] != other["ce_id"]) == (record is FEATURES)


def test_all_records_of_a_memo_share_a_trace_and_no_span() -> None:
    other = replace(FEATURES, modality=Modality.EMBEDDING)
    traces = [trace(headers_of(record, "stage", None)) for record in (UPLOADED, FEATURES, other, SCORED, ALERT)]
    assert len({t[1] for t in traces}) == 1
    assert len({t[2] for t in traces}) == len(traces)


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_every_record_names_its_type_and_writer(record: Record) -> None:
    headers = dict(headers_of(record, "fusion", None))
    assert headers["ce_type"].decode() == f"undertone.v1.{type(record).__name__}"
    assert headers["ce_source"] == b"/undertone/fusion"


def test_ids_are_those_of_the_records() -> None:
    ids = [dict(headers_of(record, "s", None))["ce_id"].decode() for record in (UPLOADED, SCORED, ALERT, DEAD)]
    assert ids == ["memo-1", "score-1", "alert-1", "dead-1"]
    assert all(b"user-1" not in value for record in EXAMPLES for _, value in headers_of(record, "s", None))


@pytest.mark.parametrize(("size", "kept"), [(TRACESTATE_BYTES, True), (TRACESTATE_BYTES + 1, False), (900_000, False)])
def test_a_long_tracestate_is_not_passed_on(size: int, kept: bool) -> None:
    headers = dict(headers_of(UPLOADED, "stage", {"traceparent": PARENT, "tracestate": bytes(size)}))
    assert ("tracestate" in headers) is kept
    assert headers["traceparent"].split(b"-")[1] == PARENT.split(b"-")[1]
