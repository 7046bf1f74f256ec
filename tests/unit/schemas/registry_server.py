"""A small schema registry over HTTP: the endpoints that Undertone uses, as Confluent documents them."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote


@dataclass
class RegistryServer:
    """What the server holds, what it saw, and how it shall misbehave."""

    port: int = 0
    schemas: list[dict[str, Any]] = field(default_factory=list)
    subjects: set[str] = field(default_factory=set)
    incompatible: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    password: str | None = None
    fails_with: int | None = None
    says: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, body: bytes, authorization: str | None) -> tuple[int, bytes]:
        self.requests.append(f"{method} {path}")
        if self.fails_with is not None:
            return self.fails_with, b'{"error_code": 1, "message": "as told"}'
        if self.says is not None:
            return 200, self.says
        if self.password is not None:
            expected = "Basic " + base64.b64encode(self.password.encode()).decode()
            if authorization != expected:
                return 401, b'{"error_code": 401, "message": "Unauthorized"}'
        match path.strip("/").split("/"):
            case ["subjects", subject, "versions"] if method == "POST":
                return 200, json.dumps({"id": self._register(unquote(subject), json.loads(body))}).encode()
            case ["subjects"] if method == "GET":
                return 200, json.dumps(sorted(self.subjects)).encode()
            case ["subjects", subject] if method == "POST":
                return self._look_up(unquote(subject), json.loads(body))
            case ["compatibility", "subjects", subject, "versions", "latest"] if method == "POST":
                if unquote(subject) not in self.subjects:
                    return 404, b'{"error_code": 40401, "message": "Subject not found"}'
                return 200, json.dumps({"is_compatible": unquote(subject) not in self.incompatible}).encode()
            case ["schemas", "ids", number] if method == "GET" and 0 < int(number) <= len(self.schemas):
                return 200, json.dumps(self.schemas[int(number) - 1]).encode()
        return 404, b'{"error_code": 40403, "message": "Schema not found"}'

    def _look_up(self, subject: str, schema: dict[str, Any]) -> tuple[int, bytes]:
        if subject not in self.subjects:
            return 404, b'{"error_code": 40401, "message": "Subject not found"}'
        if schema not in self.schemas or subject in self.incompatible:
            return 404, b'{"error_code": 40403, "message": "Schema not found"}'
        return 200, json.dumps({"subject": subject, "id": self.schemas.index(schema) + 1, "version": 1}).encode()

    def _register(self, subject: str, schema: dict[str, Any]) -> int:
        self.subjects.add(subject)
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1


@contextmanager
def registry_server() -> Iterator[RegistryServer]:
    registry = RegistryServer()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, answer = registry.answer(self.command, self.path, body, self.headers.get("authorization"))
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the tests' output quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.port = server.server_port
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
