"""An HTTP receiver for tests: it notes what it is sent and answers as it is told to."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One POST or PUT. headers: by lower-case name."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer: TypeAlias = int | tuple[int, str] | None
"""A status, alone or with a text, or None to hang up."""


@dataclass(slots=True)
class Receiver:
    """answer: to a request, given how many came before it."""

    port: int
    answer: Callable[[Request, int], Answer]
    requests: list[Request] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Of every answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, condition: Callable[[list[Request]], object]) -> None:
        """Until the requests so far satisfy the condition."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition(list(self.requests)):
            assert time.monotonic() < deadline, f"{len(self.requests)} requests came"
            time.sleep(0.02)


@contextmanager
def receiving(answer: Callable[[Request, int], Answer] = lambda *_: 200) -> Iterator[Receiver]:
    """A receiver on a free port while the context is open."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            answer = receiver.answer(request, len(receiver.requests))
            receiver.requests.append(request)
            if answer is None:
                self.close_connection = True
                return
            status, text = answer if isinstance(answer, tuple) else (answer, "")
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text.encode())), **receiver.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_POST  # noqa: N815 - the name that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port, answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
