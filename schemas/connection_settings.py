"""How processes reach Kafka, Redis and the schema registry: addresses, encryption, credentials. Part of the settings.

Secrets are never printed; give them as files in the folder that `UNDERTONE_SECRETS_DIR` names, such as
`undertone_kafka_password`.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from schemas.setting_types import Count, File, Positive, Role, plain

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class Connections(BaseModel, frozen=True, defer_build=True):
    """Where Kafka, Redis and the schema registry are, and how a process joins its consumer group."""

    kafka_bootstrap: Annotated[str | None, Role.ALL] = Field(None, validation_alias=plain("KAFKA_BOOTSTRAP"))
    """Kafka brokers as `host:port`, comma-separated. Without it `undertone up` starts an embedded broker."""
    # Addresses may hold passwords, so a printed Settings does not show them.
    redis_url: Annotated[
        str | None, Role.AGENTS | Role.BRIDGE | Role.HISTORY | Role.DASHBOARD | Role.UP | Role.COMMAND_LINE
    ] = Field(None, validation_alias=plain("REDIS_URL"), repr=False)
    """Redis as `redis://`, `rediss://` (TLS) or `unix://`. Without it `undertone up` starts an embedded store."""
    schema_registry_url: Annotated[str | None, Role.ALL] = Field(
        None, validation_alias=plain("SCHEMA_REGISTRY_URL"), repr=False
    )
    """Confluent-compatible schema registry. Without it records use Avro single-object encoding."""
    partitions: Annotated[Count, Role.AGENTS | Role.COMMAND_LINE] = 4
    """Partitions of each topic that `undertone topics create` makes: the most processes of one role that have work."""
    replication: Annotated[Count, Role.COMMAND_LINE] = 1
    """Replicas of each topic that `undertone topics create` makes; at most the number of brokers."""
    instance: Annotated[str, Role.ALL] = ""
    """Stable name of this process for Kafka's static membership: a restart within the session timeout keeps its
    partitions."""
    session_timeout_s: Annotated[
        Positive, Role.WORKER | Role.AGENTS | Role.BRIDGE | Role.HISTORY | Role.DASHBOARD | Role.COMMAND_LINE
    ] = 45.0
    """A process that sends no heartbeat for this many seconds loses its partitions (`session.timeout.ms`)."""
    max_poll_interval_s: Annotated[Positive, Role.WORKER | Role.AGENTS | Role.BRIDGE | Role.HISTORY] = 3600.0
    """A process that cannot take another record for this many seconds leaves its group (`max.poll.interval.ms`).
    Processing does not count: heartbeats and fetching continue meanwhile."""

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers(cls, value: str | None) -> str | None:
        for broker in [] if value is None else value.split(","):
            if not _is_broker(broker.strip()):
                # What somebody writes before an @ is a user and a password.
                shown = re.sub(".*@", "***@", broker.strip())
                raise ValueError(f"{shown!r} is not host:port, such as kafka-0.example:9092; list several with ,")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, "redis", "rediss", "unix"):
            raise ValueError("is not redis://host:port, rediss://host:port (TLS) or unix:///path")
        return value

    @field_validator("schema_registry_url")
    @classmethod
    def _registry(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, "http", "https"):
            raise ValueError("is not http(s)://[user:password@]host[:port]")
        return value


class KafkaSecurity(BaseModel, frozen=True, defer_build=True):
    """TLS and SASL of every Kafka client. Files are PEM."""

    kafka_security: Annotated[Protocol, Role.ALL] = "PLAINTEXT"
    """As Kafka's `security.protocol`; `PLAINTEXT` and `SASL_PLAINTEXT` are not encrypted."""
    kafka_ca: Annotated[File | None, Role.ALL] = None
    """Certificate authorities trusted for the brokers' certificates; without it those of the system."""
    kafka_certificate: Annotated[File | None, Role.ALL] = None
    """Client certificate with its chain, where the brokers require one."""
    kafka_key: Annotated[File | None, Role.ALL] = None
    """Private key of `UNDERTONE_KAFKA_CERTIFICATE`."""
    kafka_key_password: Annotated[SecretStr | None, Role.ALL] = None
    """Password of `UNDERTONE_KAFKA_KEY`, if it is encrypted."""
    kafka_mechanism: Annotated[Mechanism | None, Role.ALL] = None
    """As Kafka's `sasl.mechanism`; required with `SASL_PLAINTEXT` and `SASL_SSL`."""
    kafka_user: Annotated[str | None, Role.ALL] = None
    """User for `PLAIN` and `SCRAM`."""
    kafka_password: Annotated[SecretStr | None, Role.ALL] = None
    """Password for `PLAIN` and `SCRAM`."""
    kafka_token_file: Annotated[File | None, Role.ALL] = None
    """For `OAUTHBEARER`: file with a token that the platform renews; read again for every connection."""
    kafka_token_url: Annotated[str | None, Role.ALL] = Field(None, repr=False)
    """For `OAUTHBEARER`: OpenID Connect token endpoint (client credentials grant)."""
    kafka_client_id: Annotated[str | None, Role.ALL] = None
    """Client id for `UNDERTONE_KAFKA_TOKEN_URL`."""
    kafka_client_secret: Annotated[SecretStr | None, Role.ALL] = None
    """Client secret for `UNDERTONE_KAFKA_TOKEN_URL`."""
    kafka_scope: Annotated[str, Role.ALL] = ""
    """Scope requested from `UNDERTONE_KAFKA_TOKEN_URL`; empty requests none."""

    @model_validator(mode="after")
    def _kafka_is_complete(self) -> Self:
        for fault in (self._kafka_fault(), _pair("KAFKA", self.kafka_certificate, self.kafka_key)):
            if fault:
                raise ValueError(fault)
        return self

    def _kafka_fault(self) -> str:
        """What does not go together; empty if nothing."""
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


class RedisSecurity(BaseModel, frozen=True, defer_build=True):
    """TLS and credentials of Redis. Files are PEM and need `rediss://` in `REDIS_URL`."""

    redis_user: Annotated[str | None, Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE] = None
    """User of Redis, instead of the one in `REDIS_URL`."""
    redis_password: Annotated[SecretStr | None, Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Password of Redis, instead of the one in `REDIS_URL`."""
    redis_ca: Annotated[File | None, Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Certificate authorities trusted for the server's certificate; without it those of the system."""
    redis_certificate: Annotated[File | None, Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Client certificate, where the server requires one."""
    redis_key: Annotated[File | None, Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Private key of `UNDERTONE_REDIS_CERTIFICATE`."""

    @model_validator(mode="after")
    def _redis_is_complete(self) -> Self:
        if fault := _pair("REDIS", self.redis_certificate, self.redis_key):
            raise ValueError(fault)
        return self


def _pair(server: str, certificate: Path | None, key: Path | None) -> str:
    if (certificate is None) == (key is None):
        return ""
    return f"UNDERTONE_{server}_CERTIFICATE and UNDERTONE_{server}_KEY go together"


def _is_broker(text: str) -> bool:
    """Whether this is `host:port`; an IPv6 address in brackets."""
    host, _, port = text.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    if not host.strip("[]") or set("/@ ") & set(host) or (":" in host and not in_brackets) or not host.isprintable():
        return False
    return port.isascii() and port.isdigit() and 0 < int(port) < 65536


def is_url(text: str, *schemes: str) -> bool:
    """Whether this is a URL of one of the schemes, with a host, or a path where it has none."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in schemes
            and bool(parts.path if parts.scheme == "unix" else parts.hostname)
            and parts.port != 0
        )
    except ValueError:
        return False
