"""The development Kafka with all that a guarded one asks for: encryption, passwords, tokens, certificates, rights.

    with SecuredKafka({"acoustic": "its password"}) as guarded:
        guarded.secured     # SASL_SSL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
        guarded.mutual      # SSL, and a client certificate
        guarded.expired     # as `secured`, behind a certificate that has expired

Kafka's own authorizer decides; the plain listener of `KafkaServer` is the administrator's and may do anything.
"""

import base64
import json
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from deploy.kafka.certificates import Authority
from deploy.kafka.server import LIGHT, KafkaServer

SASL = "org.apache.kafka.common.security"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
ITERATIONS = 4096


class Issuer:
    """Signs tokens as an OpenID Connect issuer does; the broker knows its key from a file."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.keys = folder / "jwks.json"
        numbers = self._key.public_key().public_numbers()
        n, e = (_base64(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "undertone", "n": n, "e": e}
        self.keys.write_text(json.dumps({"keys": [key]}))

    def token(self, subject: str, lives_s: float = 600.0) -> str:
        """A token for `subject`."""
        now = int(time.time())
        claims = {"sub": subject, "iss": "undertone", "iat": now, "exp": int(now + lives_s), "scope": "kafka"}
        head = _base64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "undertone"}).encode())
        signed = f"{head}.{_base64(json.dumps(claims).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"


class SecuredKafka:
    """A broker that lets in `users` (names and passwords) and does for them what their rights allow."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._exits = ExitStack()
        self.folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="undertone-secured-")))
        self.authority = Authority(self.folder)
        self.issuer = Issuer(self.folder)
        plain, controller, *others = _free_ports(5)
        self.secured, self.mutual, self.expired = (f"127.0.0.1:{port}" for port in others)
        self.server = KafkaServer(
            plain,
            self._properties(f"127.0.0.1:{plain}", f"127.0.0.1:{controller}"),
            (*LIGHT, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.issuer.keys.as_uri()}"),
        )
        self.admin = AdminClient({"bootstrap.servers": self.server.bootstrap, "log_level": 0})

    def __enter__(self) -> Self:
        """Start, and let the users in."""
        self._exits.enter_context(self.server)
        self._enrol()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exits.close()

    def _enrol(self) -> None:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # one a request and user
            changes = [
                UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, ITERATIONS), password.encode())
                for name, password in self._users.items()
            ]
            for future in self.admin.alter_user_scram_credentials(changes).values():
                future.result(timeout=30)

    def _properties(self, plain: str, controller: str) -> dict[str, str]:
        listeners = {
            "PLAINTEXT": (plain, "PLAINTEXT"),
            "CONTROLLER": (controller, "PLAINTEXT"),
            "SECURED": (self.secured, "SASL_SSL"),
            "MUTUAL": (self.mutual, "SSL"),
            "EXPIRED": (self.expired, "SASL_SSL"),
        }
        return {
            "listeners": ",".join(f"{name}://{address}" for name, (address, _) in listeners.items()),
            "controller.quorum.voters": f"1@{controller}",
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, (_, kind) in listeners.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            **self._encryption("secured"),
            **self._encryption("mutual"),
            **self._encryption("expired", expired=True),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            **self._passwords("secured"),
            **self._passwords("expired"),
        }

    def _encryption(self, listener: str, *, expired: bool = False) -> dict[str, str]:
        pair = self.authority.vouch(f"broker-{listener}", expired=expired)
        settings = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(pair.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.certificate),
        }
        return {f"listener.name.{listener}.{name}": value for name, value in settings.items()}

    def _passwords(self, listener: str) -> dict[str, str]:
        known = " ".join(f'user_{name}="{password}"' for name, password in self._users.items())
        scram = f"{SASL}.scram.ScramLoginModule required;"
        settings = {
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "plain.sasl.jaas.config": f"{SASL}.plain.PlainLoginModule required {known};",
            "scram-sha-256.sasl.jaas.config": scram,
            "scram-sha-512.sasl.jaas.config": scram,
            "oauthbearer.sasl.jaas.config": f"{SASL}.oauthbearer.OAuthBearerLoginModule required;",
            "oauthbearer.sasl.server.callback.handler.class": f"{SASL}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            "oauthbearer.sasl.oauthbearer.jwks.endpoint.url": self.issuer.keys.as_uri(),
            "oauthbearer.sasl.oauthbearer.expected.issuer": "undertone",
        }
        return {f"listener.name.{listener}.{name}": value for name, value in settings.items()}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
