"""Headers of sealed records: nothing of a memo is in them, and its records stay in one trace."""

from datetime import UTC, datetime
from secrets import token_bytes

from schemas.headers import headers_for, headers_of, span_of
from schemas.redrive_headers import HISTORY, REDRIVES
from schemas.sealed_headers import SEALED_CONTENT_TYPE, HeaderKey, concealed, is_concealed, revealed
from tests.unit.schemas.records import FEATURES, SCORED, UPLOADED

KEY = HeaderKey(token_bytes(32))
PLATFORM = {"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": b"user=ann"}


def test_no_id_and_no_moment_of_a_memo_is_left() -> None:
    clear = headers_of(UPLOADED, "submit", None)
    sealed = concealed(clear, KEY)
    hidden = {name: value for name, value in clear if name in {"ce_id", "ce_time", "traceparent"}}
    text = b" ".join(value for _, value in sealed)
    ids = [hidden["ce_id"], hidden["ce_time"], *hidden["traceparent"].split(b"-")[1:3]]
    assert not [each for each in ids if each in text]
    assert dict(sealed)["content-type"] == SEALED_CONTENT_TYPE.encode()
    assert dict(sealed)["ce_type"] == dict(clear)["ce_type"], "readers still see what it is"


def test_the_same_record_gives_the_same_headers_and_another_key_gives_others() -> None:
    clear = headers_of(UPLOADED, "submit", None)
    assert concealed(clear, KEY) == concealed(clear, KEY)
    ours, theirs = dict(concealed(clear, KEY)), dict(concealed(clear, HeaderKey(token_bytes(32))))
    assert ours["ce_id"] != theirs["ce_id"]
    assert ours["traceparent"] != theirs["traceparent"]


def test_headers_that_are_concealed_stay_as_they_are() -> None:
    once = concealed(headers_of(UPLOADED, "submit", None), KEY)
    assert concealed(once, KEY) == once
    assert is_concealed(once)
    assert not is_concealed(headers_of(UPLOADED, "submit", None))


def test_records_of_a_memo_keep_one_trace_and_each_span_has_its_parent() -> None:
    upload = dict(concealed(headers_of(UPLOADED, "submit", PLATFORM), KEY))
    features = dict(concealed(headers_of(FEATURES, "acoustic", upload), KEY))
    score = dict(concealed(headers_of(SCORED, "fusion", features), KEY))
    spans = [span_of(each) for each in (upload, features, score)]
    assert len({span.trace_id for span in spans if span}) == 1
    assert len({span.span_id for span in spans if span}) == 3
    platform = span_of(PLATFORM)
    assert platform is not None
    assert spans[0] is not None
    assert spans[0].trace_id != platform.trace_id
    assert "tracestate" not in upload


def test_both_workers_continue_a_clear_upload_in_the_same_trace() -> None:
    """One that a platform wrote: both conceal what they read, and neither asks the other."""
    read = dict(concealed(list(PLATFORM.items()), KEY))
    traces = {span_of(dict(concealed(headers_of(FEATURES, s, read), KEY))).trace_id for s in ("a", "b")}  # type: ignore[union-attr]
    assert traces == {span_of(read).trace_id}  # type: ignore[union-attr]


def test_counts_stay_and_what_else_a_platform_writes_is_left_out() -> None:
    given = [("traceparent", b"ann@example.org"), (REDRIVES, b"2"), (HISTORY, b"[]"), ("x-patient", b"Ann")]
    expected = [(REDRIVES, b"2"), (HISTORY, b"[]"), ("content-type", SEALED_CONTENT_TYPE.encode())]
    assert concealed(given, KEY) == expected


def test_a_record_that_is_written_in_clear_again_says_that_it_is_avro() -> None:
    clear = headers_for("1", "t", "/s", datetime(2026, 1, 1, tzinfo=UTC), None)
    assert dict(revealed(concealed(clear, KEY)))["content-type"] == dict(clear)["content-type"]
