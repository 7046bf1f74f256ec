import sys
import time
from datetime import UTC, datetime
from subprocess import run

import pytest

from schemas.headers import headers_for, span_of
from schemas.settings import Settings
from tests.otlp import collecting
from workers.service.tracing import delivered, tracing

UPLOAD = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_span_has_the_ids_that_the_headers_tell_however_often_it_is_told() -> None:
    parent = {"traceparent": f"00-{UPLOAD}-00f067aa0ba902b7-01".encode()}
    headers = headers_for("a", "undertone.v1.MemoFeatures", "/undertone/acoustic", datetime.now(UTC), parent)
    with collecting() as collector:
        with tracing(Settings.load(otel_exporter_otlp_endpoint=collector.url), "acoustic"):
            for _ in range(2):
                delivered("acoustic", "memos.features", headers, parent, time.time() - 2)
        delivered("acoustic", "memos.features", headers, parent, 0.0)  # nobody listens any more
    one, again = collector.spans
    span = span_of(dict(headers))
    assert span is not None
    assert (one.trace, one.parent, one.service) == (UPLOAD, "00f067aa0ba902b7", "undertone-acoustic")
    assert (one.trace, one.id) == (again.trace, again.id) == (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    assert 2 <= one.took_s < 10


def test_a_trace_that_is_not_recorded_makes_no_span() -> None:
    parent = {"traceparent": f"00-{UPLOAD}-00f067aa0ba902b7-00".encode()}
    headers = headers_for("a", "undertone.v1.MemoFeatures", "/undertone/acoustic", datetime.now(UTC), parent)
    with collecting() as collector, tracing(Settings.load(otel_exporter_otlp_endpoint=collector.url), "acoustic"):
        delivered("acoustic", "memos.features", headers, parent, time.time())
    assert collector.spans == []


def test_a_collector_that_is_away_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    with tracing(Settings.load(otel_exporter_otlp_endpoint="http://127.0.0.1:1"), "acoustic"):
        delivered("acoustic", "memos.features", [("traceparent", f"00-{UPLOAD}-00f067aa0ba902b7-01".encode())], {}, 0.0)
    assert time.monotonic() - began < 5
    assert caplog.records == [] or all(record.name.startswith("opentelemetry") for record in caplog.records)


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    code = "import sys, workers.kafka.producer, workers.service.tracing; sys.exit('opentelemetry' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
