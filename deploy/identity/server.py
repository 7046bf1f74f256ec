"""An OpenID Connect provider for development and tests: `python deploy/identity/server.py`; an account for every role.

`oidc-provider` comes by name and hash through the machine's npm, once, into `.cache/identity`. Never for production:
anybody signs in as anyone, with any password.

    with IdentityServer(Registration("http://127.0.0.1:8090")) as identity:
        settings = Settings.load(**identity.settings())
"""

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from joserfc.jwk import RSAKey

from deploy.kafka.server import dies_with_parent
from schemas.errors import Stop

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "identity"
AUDIENCE = "https://undertone.example/api"
SECRET = "for development only"
ACCOUNTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "clinician": {"roles": ["clinician"], "cohorts": ["*"]},
    "operator": {"roles": ["undertone-operator"]},
    "auditor": {"roles": ["auditor"]},
    "visitor": {"roles": []},
}
"""Claims by subject."""


@dataclass(frozen=True)
class Registration:
    """The dashboard as the provider knows it, at its public address, and who can sign in."""

    dashboard_url: str
    accounts: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=lambda: ACCOUNTS)
    machines: Sequence[str] = ("uploader",)

    def clients(self) -> list[dict[str, Any]]:
        """As oidc-provider takes them."""
        dashboard = {
            "client_id": "undertone",
            "client_secret": SECRET,
            "redirect_uris": [f"{self.dashboard_url}/signin/callback"],
            "post_logout_redirect_uris": [f"{self.dashboard_url}/signedout"],
        }
        machine = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": []}
        return [dashboard, *({"client_id": each, "client_secret": SECRET, **machine} for each in self.machines)]


def lacking() -> str:
    """What this machine lacks for the provider, and what to do; empty when it lacks nothing."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    return f"no {' and no '.join(missing)} here: install Node.js 20 or newer (nodejs, npm)" if missing else ""


def libraries(cache: Path = CACHE) -> Path:
    """The folder with the provider and what it needs, which npm fills the first time. Raises Stop when it cannot."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = cache / sha256(lock).hexdigest()[:16]
    if not folder.is_dir():
        if lacking():
            raise Stop(lacking())
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as unfinished:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(HERE / name, unfinished)
            done = subprocess.run(
                ["npm", "ci", "--no-audit", "--no-fund"], cwd=unfinished, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise Stop(f"npm could not bring the identity provider:\n{(done.stdout + done.stderr)[-2000:]}")
            with contextlib.suppress(OSError):  # another process was faster
                Path(unfinished).rename(folder)
                Path(unfinished).mkdir()
    # A module finds what it imports beside itself.
    shutil.copy(HERE / "provider.mjs", folder)
    return folder


class IdentityServer:
    """One provider on a free port. It can be killed and started again, with other keys; it ends with its parent."""

    def __init__(self, registration: Registration, audience: str = AUDIENCE) -> None:
        self.registration, self.audience = registration, audience
        self._folder = libraries()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.key = new_key()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it listens. Raises Stop when it does not."""
        given = {
            "issuer": self.issuer,
            "port": self.port,
            "keys": [self.key.as_dict(private=True)],
            "clients": self.registration.clients(),
            "accounts": self.registration.accounts,
            "audience": self.audience,
        }
        command = [*dies_with_parent(), "node", "--no-warnings", str(self._folder / "provider.mjs")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise Stop("the identity provider has no input")
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.strip() == "ready":
                return
        raise Stop(f"the identity provider ended with status {self._process.wait()}: run `npm ci` in deploy/identity")

    def kill(self) -> None:
        """End it at once; it remembers nothing. Does nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.wait()
            self._process = None

    def rotate(self) -> None:
        """Start again with another key."""
        self.kill()
        self.key = new_key()
        self.start()

    def settings(self) -> dict[str, str]:
        """Of a dashboard whose staff sign in here."""
        return {
            "dashboard_url": self.registration.dashboard_url,
            "oidc_issuer": self.issuer,
            "oidc_client_id": "undertone",
            "oidc_client_secret": SECRET,
            "oidc_audience": self.audience,
        }


def new_key() -> RSAKey:
    """A private key with an id of its own."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    key.ensure_kid()
    return key


def main(arguments: Sequence[str]) -> int:
    """Run until the terminal or Ctrl-C ends it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dashboard-url", default="http://127.0.0.1:8090", help="public address of the dashboard")
    chosen = parser.parse_args(arguments)
    with IdentityServer(Registration(chosen.dashboard_url)) as identity:
        print(f"accounts: {', '.join(ACCOUNTS)}; any password. Start `undertone dashboard` with:")
        for name, value in identity.settings().items():
            print(f"export UNDERTONE_{name.upper()}='{value}'")
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
