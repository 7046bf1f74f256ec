"""OpenTelemetry spans, one per delivered record, exported if OTEL_EXPORTER_OTLP_ENDPOINT is set.

`schemas/headers.py` derives the ids: a span has the id in the record's `traceparent`, so the spans of a memo form one
trace from upload to alert whichever stages export them, and a redelivered record repeats its span instead of adding
one. Without an endpoint OpenTelemetry is not loaded. Spans contain no ids of memos or users.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from schemas.headers import Headers, Span, span_of
from schemas.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""Timeout for sending the last spans at shutdown, also when the collector is unavailable."""

_tracer: "Tracer | None" = None
_span: ContextVar[Span] = ContextVar("span")


@contextmanager
def tracing(settings: Settings, role: str) -> Iterator[None]:
    """Export spans while the context is open, if the settings have an endpoint. The service is `undertone-<role>`."""
    global _tracer
    if settings.otel_exporter_otlp_endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    class GivenIds(IdGenerator):
        """The ids in the headers."""

        def generate_span_id(self) -> int:
            return _span.get().span_id

        def generate_trace_id(self) -> int:
            return _span.get().trace_id

    provider = TracerProvider(
        id_generator=GivenIds(), resource=Resource.create({"service.name": f"undertone-{role}"}), shutdown_on_exit=False
    )
    endpoint = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    _tracer = provider.get_tracer("undertone")
    try:
        yield
    finally:
        _tracer = None
        flushing = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)


def delivered(stage: str, topic: str, headers: Headers, cause: Mapping[str, bytes], began: float) -> None:
    """Export the span of a record with these headers, delivered to `topic`.

    cause: headers of the record that caused it; began: Unix time at which the stage started on that one.
    """
    if _tracer is None or (span := span_of(dict(headers))) is None:
        return
    from opentelemetry import trace

    given = _span.set(span)
    try:
        parent = span_of(cause)
        context = None
        if parent is not None:
            flags = trace.TraceFlags(parent.flags)
            remote = trace.SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        attributes = {"messaging.system": "kafka", "messaging.destination.name": topic, "undertone.stage": stage}
        kind = trace.SpanKind.PRODUCER if parent is None else trace.SpanKind.CONSUMER
        started = _tracer.start_span(f"{stage} {topic}", context, kind, attributes, start_time=int(began * 1e9))
        started.end(int(time.time() * 1e9))
    finally:
        _span.reset(given)
