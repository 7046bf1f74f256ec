"""A FHIR R4 server for tests: it stores what HL7's definitions allow, and checks requests as servers do."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

BASE = "/r4"
TYPES = frozenset({"RiskAssessment", "Flag"})
JSON = "application/fhir+json"


@dataclass(slots=True)
class FhirServer:
    """stored: resources by id; statuses: of every answer, in order; fail: a status to answer instead, or None.

    patients: references that exist, as servers with referential integrity check them.
    """

    port: int
    patients: set[str]
    token: str | None = None
    fail: Callable[[int], int | None] = lambda _: None
    stored: dict[str, Any] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE}"

    def of(self, kind: str) -> list[Any]:
        """The stored resources of one type, in the order in which they were created."""
        return [each for each in self.stored.values() if each["resourceType"] == kind]

    def put(self, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """A conditional update; status and diagnostics."""
        if (failure := self.fail(len(self.statuses))) is not None:
            return failure, "not now"
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            return 401, "no token"
        if headers.get("content-type", "").split(";")[0] != JSON or headers.get("accept") != JSON:
            return 415, "not FHIR JSON"
        parts = urlsplit(target)
        kind = parts.path.removeprefix(f"{BASE}/")
        query = parse_qsl(parts.query, strict_parsing=True)
        if not parts.path.startswith(f"{BASE}/") or kind not in TYPES:
            return 404, "no such type"
        if [name for name, _ in query] != ["identifier"] or query[0][1].count("|") != 1:
            return 400, "not a search for one identifier"
        resource = json.loads(body)
        if resource.get("resourceType") != kind or "id" in resource:
            return 400, "another type, or an id that the client chose"
        try:
            get_fhir_model_class(kind).model_validate(resource)
        except ValidationError as error:
            return 422, str(error)
        if resource["subject"]["reference"] not in self.patients:
            return 400, "no such patient"
        return self._stored(resource, *query[0][1].split("|"))

    def _stored(self, resource: Any, system: str, value: str) -> tuple[int, str]:
        wanted = {"system": system, "value": value}
        if wanted not in resource["identifier"]:
            return 400, "an update that its own condition does not match"
        found = [id_ for id_, each in self.stored.items() if wanted in each["identifier"]]
        if len(found) > 1:
            return 412, "several resources have this identifier"
        self.stored[found[0] if found else str(len(self.stored))] = resource
        return 200 if found else 201, "stored"


@contextmanager
def fhir_server(*patients: str, token: str | None = None) -> Iterator[FhirServer]:
    """A server on a free port of the loopback while the context is open."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            status, diagnostics = server.put(self.path, headers, body)
            server.statuses.append(status)
            issue = {"severity": "error", "code": "processing", "diagnostics": unquote(diagnostics)}
            answer = json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing: tests read `statuses`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = FhirServer(http.server_port, set(patients), token)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
