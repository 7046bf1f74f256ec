"""The audit trail: its key, who signs it, and where its signed heads are anchored. Part of the settings."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, field_validator

from schemas.connection_settings import is_url
from schemas.setting_types import File, Listed, Positive, Role

SHORTEST_KEY = 32
"""Characters of the key of the trail."""


class AuditTrail(BaseModel, frozen=True, defer_build=True):
    """Audit events are always chained. With these settings they are signed too, and every later change is found."""

    audit_key: Annotated[
        SecretStr | None, Role.AGENTS | Role.HISTORY | Role.DASHBOARD | Role.KEYS | Role.COMMAND_LINE
    ] = None
    """Key of the trail, at least 32 characters, the same in every process and kept as long as the trail: people stand
    in events as keyed hashes, and every event has a code that only a process with this key can make. Without it events
    name pseudonyms, and whoever may write to the topic can invent events."""
    audit_signing_key: Annotated[File | None, Role.HISTORY | Role.COMMAND_LINE] = None
    """Private Ed25519 key (PEM) with which `undertone history` and `undertone audit anchor` sign heads; make one with
    `openssl genpkey -algorithm ed25519`. For its owner alone (0600), and for no process that people sign in to."""
    audit_public_key: Annotated[File | None, Role.COMMAND_LINE] = None
    """Public keys (PEM, one after another) that `undertone audit verify` trusts. Default: that of
    `UNDERTONE_AUDIT_SIGNING_KEY`."""
    audit_anchors: Annotated[Listed[str], Role.HISTORY | Role.COMMAND_LINE] = ()
    """Where signed heads are kept, comma-separated, the first one deciding between two signers: `file:///PATH` of a
    file that is only appended to, or `s3://BUCKET/PREFIX` of a bucket with object lock. One of them belongs outside the
    reach of whoever administers Kafka."""
    audit_anchor_lock_days: Annotated[Positive, Role.HISTORY | Role.COMMAND_LINE] = 2192.0
    """Days for which a bucket keeps a head from being deleted or replaced by anybody (object lock, mode COMPLIANCE)."""
    audit_timestamps_url: Annotated[str | None, Role.HISTORY | Role.COMMAND_LINE] = Field(None, repr=False)
    """Time stamping authority (RFC 3161) that witnesses each head. While it does not answer, heads are anchored without
    its stamp."""
    audit_timestamps_ca: Annotated[File | None, Role.COMMAND_LINE] = None
    """Root certificates (PEM) of time stamping authorities, by which `undertone audit verify` checks their stamps."""
    audit_head_s: Annotated[Positive, Role.HISTORY] = 300.0
    """Seconds between two heads, where there were events meanwhile. What is newer than the last head can be cut off
    unnoticed."""

    @field_validator("audit_key")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(f"has fewer than {SHORTEST_KEY} characters: make one with `openssl rand -hex 32`")
        return value

    @field_validator("audit_anchors")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            scheme, _, rest = each.partition("://")
            if not (scheme == "file" and rest.startswith("/")) and not (scheme == "s3" and rest):
                raise ValueError("write each as file:///PATH or s3://BUCKET/PREFIX; list several with ,")
        return value

    @field_validator("audit_timestamps_url")
    @classmethod
    def _authority(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, "http", "https"):
            raise ValueError("is not http(s)://host[:port][/path]")
        return value
