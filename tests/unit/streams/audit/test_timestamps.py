"""Time stamps, by an authority of OpenSSL."""

import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, Transient
from streams.audit.timestamps import QUERY, stamp_time, stamped

CONFIGURATION = """
[req]
distinguished_name = name
x509_extensions = root
prompt = no
[name]
CN = root of tests
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[authority]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = default
[default]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/tsa.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
"""


class Authority(HTTPServer):
    """Answers queries with OpenSSL. answers: what it sends instead, if anything."""

    answers: bytes | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "openssl.cnf").write_text(CONFIGURATION.format(folder=folder))
        (folder / "serial").write_text("01\n")
        for options in (
            "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout root.key -out root.pem -config openssl.cnf",
            "req -new -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -config openssl.cnf -subj /CN=authority",
            "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -days 2 -out tsa.pem -extfile openssl.cnf "
            "-extensions authority -set_serial 7",
        ):
            subprocess.run(["openssl", *options.split()], cwd=folder, check=True, capture_output=True)
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/"

    def reply(self, query: bytes) -> bytes:
        """The response to a query."""
        if self.answers is not None:
            return self.answers
        (self.folder / "query.tsq").write_bytes(query)
        options = "ts -reply -queryfile query.tsq -config openssl.cnf -section default -out reply.tsr"
        subprocess.run(["openssl", *options.split()], cwd=self.folder, check=True, capture_output=True)
        return (self.folder / "reply.tsr").read_bytes()


class _Handler(BaseHTTPRequestHandler):
    server: Authority

    def do_POST(self) -> None:
        assert self.headers["content-type"] == QUERY
        reply = self.server.reply(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "application/timestamp-reply")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with Authority(tmp_path_factory.mktemp("authority")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_authority_witnesses_data_and_nothing_else(authority: Authority, tmp_path: Path) -> None:
    stamp = stamped(authority.url, b"head")
    when = stamp_time(stamp, b"head", authority.folder / "root.pem")
    assert when is not None
    assert abs(datetime.now(UTC) - when.astimezone(UTC)) < timedelta(minutes=5)
    assert stamp_time(stamp, b"another", authority.folder / "root.pem") is None
    assert stamp_time(b"no stamp", b"head", authority.folder / "root.pem") is None


def test_a_stamp_of_another_authority_proves_nothing(authority: Authority, tmp_path: Path) -> None:
    stamp = stamped(authority.url, b"head")
    with Authority(tmp_path) as other:
        assert stamp_time(stamp, b"head", other.folder / "root.pem") is None


def test_openssl_verifies_a_stamp_without_undertone(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "stamp.tsr").write_bytes(stamped(authority.url, b"head"))
    (tmp_path / "head").write_bytes(b"head")
    roots = str(authority.folder / "root.pem")
    command = ["openssl", "ts", "-verify", "-data", "head", "-in", "stamp.tsr", "-CAfile", roots]
    assert b"Verification: OK" in subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout


def test_what_an_authority_answers_otherwise_is_no_stamp(authority: Authority) -> None:
    another = stamped(authority.url, b"another")
    try:
        for answer in (b"", b"<html>", another):
            authority.answers = answer
            with pytest.raises(Transient, match="UNDERTONE_AUDIT_TIMESTAMPS_URL"):
                stamped(authority.url, b"head")
    finally:
        authority.answers = None
    with pytest.raises(Transient, match="ConnectError"):
        stamped("http://127.0.0.1:9/", b"head")


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_AUDIT_TIMESTAMPS_CA"):
        stamp_time(b"", b"", tmp_path / "none.pem")
