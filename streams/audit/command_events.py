"""The audit event of a command: what it is about to do, and who runs it, by what others can check."""

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from schemas.audit_reason import kept_reason
from schemas.errors import ConfigurationError
from schemas.event_enums import ActorProof
from schemas.events import AuditEvent
from schemas.limits import LABEL
from schemas.settings import Settings
from streams.audit.commands import COMMANDS, UNLISTED, Unaudited

ROLE = "command"
"""Role of everybody who runs commands: the servers decide which of them they may run."""
PEOPLE = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who runs a command. proof: what showed it; via: user and machine, as `ann@host`."""

    name: str
    proof: ActorProof
    via: str


def leaves_event(command: str, given: Mapping[str, object]) -> bool:
    """Whether a command with these parameters leaves an event."""
    row = COMMANDS.get(command, UNLISTED)
    return not (isinstance(row, Unaudited) or given.get(row.unless) or (row.only_with and not given.get(row.only_with)))


def command_event(command: str, given: Mapping[str, object], actor: Actor) -> AuditEvent | None:
    """The event of a command, None for one that leaves none. given: its parameters."""
    row = COMMANDS.get(command, UNLISTED)
    if isinstance(row, Unaudited) or not leaves_event(command, given):
        return None
    named = [str(given[name]) for name in row.people if given.get(name)]
    of_cohort = bool(row.prefix and given.get(row.prefix))
    said = (*(f"cohort {name}" for name in named if of_cohort), str(given.get("reason") or ""))
    return AuditEvent(
        audit_id=str(uuid4()),
        at=datetime.now(UTC),
        actor=actor.name,
        role=ROLE,
        action=row.action,
        resource=command.replace(" ", "."),
        user_ids=() if of_cohort else tuple(named[:PEOPLE]),
        reason=kept_reason(": ".join(filter(None, said))),
        proof=actor.proof,
        via=actor.via,
    )


def actor_of(settings: Settings) -> Actor:
    """Who Kafka takes the process for, by certificate or SASL; without either the user of this machine.

    `via` names user and machine in every case: a certificate may be that of a role. Raises ConfigurationError for a
    certificate that cannot be read.
    """
    via = _label(f"{os_user()}@{socket.gethostname()}")
    certificate = settings.kafka_certificate
    if certificate is not None and settings.kafka_security.endswith("SSL"):
        return Actor(_label(_common_name(certificate)), ActorProof.CERTIFICATE, via)
    name = settings.kafka_user or settings.kafka_client_id
    if settings.kafka_mechanism is not None and name:
        return Actor(_label(name), ActorProof.SASL, via)
    return Actor(_label(os_user()), ActorProof.OS_USER, via)


def os_user() -> str:
    """The user of this machine; the number of one without a name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _common_name(certificate: Path) -> str:
    """The subject of the client certificate: its common name, or all of it."""
    # Workers and bridges load no cryptography unless they seal, or have a certificate.
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        subject = x509.load_pem_x509_certificates(certificate.read_bytes())[0].subject
    except (OSError, ValueError) as error:
        raise ConfigurationError("UNDERTONE_KAFKA_CERTIFICATE holds no certificate in PEM that can be read") from error
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else subject.rfc4514_string()


def _label(name: str) -> str:
    """A name within the limits of an event."""
    shown = "".join(letter for letter in name if letter.isprintable()).strip()
    shown = shown.encode()[:256].decode(errors="ignore").strip() or "unnamed"
    return shown if LABEL.accepts(shown) else ascii(shown)[:256]
