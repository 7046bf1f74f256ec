"""How Kafka and Redis are reached: encryption, and who we say we are. Part of the settings.

Secrets are never printed; give them as files in the folder that `UNDERTONE_SECRETS_DIR` names, such as
`undertone_kafka_password`.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class Access(BaseSettings):
    """Certificates, users, passwords and tokens. Files are PEM."""

    kafka_security: Protocol = "PLAINTEXT"
    """As Kafka's `security.protocol`; the first and the third travel unencrypted."""
    kafka_ca: Path | None = None
    """Authorities trusted for the broker's certificate; those of the system without it."""
    kafka_certificate: Path | None = None
    """Our own certificate and its chain, where the broker asks for one."""
    kafka_key: Path | None = None
    kafka_key_password: SecretStr | None = None
    kafka_mechanism: Mechanism | None = None
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_token_file: Path | None = None
    """For OAUTHBEARER: a token that somebody else keeps fresh; read again for every connection."""
    kafka_token_url: str | None = Field(None, repr=False)
    """For OAUTHBEARER: where a token is had for a client id and a secret (OpenID Connect, client credentials)."""
    kafka_client_id: str | None = None
    kafka_client_secret: SecretStr | None = None
    kafka_scope: str = ""

    redis_user: str | None = None
    """With `redis_password`, in the place of those in REDIS_URL; `rediss://` there asks for TLS."""
    redis_password: SecretStr | None = None
    redis_ca: Path | None = None
    redis_certificate: Path | None = None
    redis_key: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for fault in (self._kafka_fault(), _pair("KAFKA", self.kafka_certificate, self.kafka_key)):
            if fault:
                raise ValueError(fault)
        if fault := _pair("REDIS", self.redis_certificate, self.redis_key):
            raise ValueError(fault)
        return self

    def _kafka_fault(self) -> str:
        """What does not go together; empty when all does."""
        sasl = self.kafka_security.startswith("SASL")
        if sasl != (self.kafka_mechanism is not None):
            return "UNDERTONE_KAFKA_MECHANISM and SASL_SSL (or SASL_PLAINTEXT) as UNDERTONE_KAFKA_SECURITY go together"
        if self.kafka_mechanism == "OAUTHBEARER":
            by_secret = self.kafka_client_id is not None and self.kafka_client_secret is not None
            if (self.kafka_token_file is None) == (self.kafka_token_url is None):
                return "OAUTHBEARER needs UNDERTONE_KAFKA_TOKEN_FILE or UNDERTONE_KAFKA_TOKEN_URL, one of them"
            if self.kafka_token_url is not None and not by_secret:
                return "UNDERTONE_KAFKA_TOKEN_URL needs UNDERTONE_KAFKA_CLIENT_ID and UNDERTONE_KAFKA_CLIENT_SECRET"
        elif sasl and (self.kafka_user is None or self.kafka_password is None):
            return f"{self.kafka_mechanism} needs UNDERTONE_KAFKA_USER and UNDERTONE_KAFKA_PASSWORD"
        if self.kafka_ca is not None and not self.kafka_security.endswith("SSL"):
            return "UNDERTONE_KAFKA_CA has no use without SSL or SASL_SSL as UNDERTONE_KAFKA_SECURITY"
        return ""


def _pair(server: str, certificate: Path | None, key: Path | None) -> str:
    if (certificate is None) == (key is None):
        return ""
    return f"UNDERTONE_{server}_CERTIFICATE and UNDERTONE_{server}_KEY go together"
