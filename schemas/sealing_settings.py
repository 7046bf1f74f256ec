"""Whether data at rest is sealed, and where its keys are. Part of the settings."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from schemas.connection_settings import is_url
from schemas.setting_types import File, Folder, Listed, NotNegative, Positive, Role
from schemas.topics import TOPICS

KMS_SCHEMES = ("local", "pkcs11", "aws-kms")


class Sealing(BaseModel, frozen=True, defer_build=True):
    """Keys of people, and what is sealed with them: topics, Redis, SQL and the journal."""

    seal: Annotated[Literal["off", "on"], Role.ALL] = "off"
    """`on` seals what is written about people with a key for each of them. Older data in clear stays readable, and
    sealed data stays readable after `off` while its keys are there. Where it is not set, `undertone up` and `undertone
    demo` seal, unless a Kafka, Redis, PostgreSQL or key directory of your own is set; commands seal as they do."""
    # Both may hold a password or a PIN, so a printed Settings does not show them.
    kms: Annotated[str | None, Role.ALL] = Field(None, repr=False)
    """What wraps the keys: `local:FILE`, `pkcs11:LIBRARY?token=LABEL&key=LABEL&pin=PIN` or
    `aws-kms:ALIAS?region=REGION`. Without it a file of `UNDERTONE_HOME`, for one machine."""
    key_directory_url: Annotated[str | None, Role.ALL] = Field(None, repr=False)
    """Key directory: PostgreSQL as `postgresql://user:password@host:5432/database`. Without it a file of SQLite in
    `UNDERTONE_HOME`, for one machine."""
    key_service_url: Annotated[str | None, Role.ALL] = None
    """Key server (`undertone keys serve`), which gives this process the keys of its own purposes alone:
    `https://host:port`, or `unix:` and the path of a socket. With it a role needs neither of the two settings above."""
    key_service_ca: Annotated[File | None, Role.ALL] = None
    """Certificate authorities that vouch for both sides of the key server."""
    key_service_certificate: Annotated[File | None, Role.ALL] = None
    """Certificate of this process for the key server. Its common name is the role, by which keys are granted."""
    key_service_key: Annotated[File | None, Role.ALL] = None
    """Private key of `UNDERTONE_KEY_SERVICE_CERTIFICATE`, without a password."""
    key_service_host: Annotated[str, Role.KEYS] = "127.0.0.1"
    """Address that the key server listens at."""
    key_service_port: Annotated[int, Field(ge=0, le=65535), Role.KEYS] = 8471
    """Port of the key server; 0 takes a free one."""
    key_service_sockets: Annotated[Folder | None, Role.KEYS] = None
    """Folder for one socket a role, such as `bridge.sock`, in place of an address: whoever may open its file has the
    keys of that role. For one machine."""
    key_cache_s: Annotated[Positive, Role.ALL] = 600.0
    """Seconds that a process keeps a person's keys in memory. An erasure waits as long for processes that do not
    answer."""
    unknown_key_wait_s: Annotated[NotNegative, Role.ALL] = 21_600.0
    """Seconds that a process waits for keys that the key directory does not know, from the first such record on. Then
    these records are dead letters `record:forged`, which keep the sealed value; a command passes over them."""
    seal_clear_topics: Annotated[Listed[str], Role.ALL] = ()
    """Topics that stay in clear while the others are sealed, such as `risk.alerts`, for subscribers without keys."""

    @field_validator("kms")
    @classmethod
    def _known_kms(cls, value: str | None) -> str | None:
        if value is not None and (value.partition(":")[0] not in KMS_SCHEMES or not value.partition(":")[2]):
            raise ValueError(f"begin it with one of {', '.join(f'{scheme}:' for scheme in KMS_SCHEMES)}")
        return value

    @field_validator("key_service_url")
    @classmethod
    def _service(cls, value: str | None) -> str | None:
        if value is not None and (not is_url(value, "https", "unix") or "@" in value):
            raise ValueError("is not https://host:port or unix:/path")
        return value

    @field_validator("seal_clear_topics")
    @classmethod
    def _known_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [topic.name for topic in TOPICS]
        if unknown := set(value) - set(names):
            raise ValueError(f"{', '.join(sorted(unknown))} is none of {', '.join(names)}")
        return value
