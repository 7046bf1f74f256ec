"""A receiver of OpenTelemetry spans, as a collector is: OTLP over HTTP, protobuf."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.receivers import Request, receiving


@dataclass(frozen=True, slots=True)
class Received:
    """One span, as it was told."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    took_s: float
    attributes: tuple[str, ...]


@dataclass
class Collector:
    """What came so far. url: for OTEL_EXPORTER_OTLP_ENDPOINT."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Received(
                            names["service.name"],
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                            tuple(f"{a.key}={a.value.string_value}" for a in span.attributes),
                        )
                    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens while the context is open."""
    collector = Collector()

    def take(request: Request, _: int) -> int:
        if request.path != "/v1/traces":
            return 404
        packed = request.headers.get("content-encoding") == "gzip"
        collector.take(gzip.decompress(request.body) if packed else request.body)
        return 200

    with receiving(take) as receiver:
        collector.url = receiver.url
        yield collector
