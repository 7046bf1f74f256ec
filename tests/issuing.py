"""An issuer of tokens, as an OpenID Connect server is: client credentials in, a signed token out."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from deploy.kafka.secured import Issuer


@contextmanager
def issuing(issuer: Issuer, secrets: dict[str, str]) -> Iterator[str]:
    """The URL where clients (`secrets`: id and secret) get tokens while the context is open."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            given = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            client, _, secret = given.partition(":")
            known = secrets.get(client) == secret and form["grant_type"] == ["client_credentials"]
            answer = {"access_token": issuer.token(client), "expires_in": 600} if known else {"error": "invalid_client"}
            body = json.dumps(answer).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/token"
        finally:
            server.shutdown()
            thread.join()
