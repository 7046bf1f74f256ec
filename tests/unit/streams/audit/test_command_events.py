"""Audit events of commands, and who is said to run them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from schemas.errors import ConfigurationError
from schemas.event_enums import ActorProof, AuditAction
from schemas.limits import check
from schemas.settings import Settings
from streams.audit.command_events import Actor, actor_of, command_event
from streams.audit.commands import COMMANDS

ANN = Actor("ann", ActorProof.OS_USER, "ann@host")


def certificate(path: Path, *names: tuple[x509.ObjectIdentifier, str]) -> Path:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in names])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def test_whoever_has_a_certificate_is_its_subject(tmp_path: Path) -> None:
    path = certificate(tmp_path / "c.pem", (NameOID.COMMON_NAME, "ann"), (NameOID.ORGANIZATION_NAME, "clinic"))
    actor = actor_of(Settings(kafka_security="SSL", kafka_certificate=path, kafka_key=path))
    assert (actor.name, actor.proof) == ("ann", ActorProof.CERTIFICATE)
    other = certificate(tmp_path / "o.pem", (NameOID.ORGANIZATION_NAME, "clinic"))
    assert actor_of(Settings(kafka_security="SSL", kafka_certificate=other, kafka_key=other)).name == "O=clinic"
    (tmp_path / "c.pem").write_text("none")
    with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_CERTIFICATE"):
        actor_of(Settings(kafka_security="SSL", kafka_certificate=path, kafka_key=path))


def test_whoever_has_a_password_of_kafka_is_its_user() -> None:
    settings = Settings(
        kafka_security="SASL_SSL", kafka_mechanism="PLAIN", kafka_user="views", kafka_password=SecretStr("secret")
    )
    actor = actor_of(settings)
    assert (actor.name, actor.proof) == ("views", ActorProof.SASL)
    assert "@" in actor.via


def test_anybody_else_is_the_user_of_the_machine() -> None:
    actor = actor_of(Settings())
    assert actor.proof is ActorProof.OS_USER
    assert actor.via.startswith(f"{actor.name}@")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_event_of_every_command_is_within_the_limits_of_records(command: str) -> None:
    given = {"user": "p-1", "of": "p-1", "user_id": "p-1", "name": "p-1", "reason": "é" * 2000, "send_memo": True}
    event = command_event(command, given, ANN)
    if event is not None:
        check(event)
        assert (event.actor, event.role, event.via) == ("ann", "command", "ann@host")


def test_an_event_names_the_person_and_the_reason() -> None:
    event = command_event("alerts mute", {"name": "p-1", "cohort": False, "reason": "on leave"}, ANN)
    assert event is not None
    assert (event.action, event.resource) == (AuditAction.ACTED, "alerts.mute")
    assert (event.user_ids, event.reason) == (("p-1",), "on leave")


def test_a_reason_that_is_no_text_ends_no_command() -> None:
    event = command_event("erase", {"user": "p-1", "reason": "asked\udcff\n to"}, ANN)
    assert event is not None
    check(event)
    assert event.reason == "asked to"


def test_a_cohort_is_no_person() -> None:
    event = command_event("alerts mute", {"name": "ward-", "cohort": True, "reason": "moved"}, ANN)
    assert event is not None
    assert (event.user_ids, event.reason) == ((), "cohort ward-: moved")


def test_what_reads_a_file_or_sends_nothing_leaves_no_event() -> None:
    assert command_event("drift plot", {"user": "p-1", "scores": object()}, ANN) is None
    assert command_event("drift plot", {"user": "p-1", "scores": None}, ANN) is not None
    assert command_event("doctor", {"send_memo": False}, ANN) is None
    assert command_event("doctor", {"send_memo": True}, ANN) is not None
    assert command_event("train", {}, ANN) is None


def test_a_command_without_a_row_leaves_an_event_all_the_same() -> None:
    event = command_event("something new", {}, ANN)
    assert event is not None
    assert (event.action, event.resource) == (AuditAction.ACTED, "something.new")
