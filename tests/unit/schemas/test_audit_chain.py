"""The canonical form of audit events, and their chain."""

import hashlib
import hmac
from dataclasses import fields, replace
from datetime import UTC, datetime

from hypothesis import given

from schemas.audit_chain import canonical, event_hash, event_mac, linked
from schemas.codec import Codec
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from tests.unit.schemas.records import AUDIT, audits

AT = datetime(2026, 5, 1, 8, 30, 0, 123_456, UTC)


def test_the_canonical_form_is_the_one_that_is_published() -> None:
    event = AuditEvent(
        "a1", AT, "ann", "clinician", AuditAction.VIEWED, "person", ("é",), proof=ActorProof.OIDC, writer="w", seq=1
    )
    assert canonical(event).decode() == (
        '{"action":"viewed","actor":"ann","at":1777624200123,"audit_id":"a1","proof":"oidc","resource":"person",'
        '"role":"clinician","seq":1,"user_ids":["é"],"writer":"w"}'
    )
    assert event_hash(event) == hashlib.sha256(canonical(event)).hexdigest()


@given(audits)
def test_an_event_has_the_same_hash_after_its_way_over_kafka(event: AuditEvent) -> None:
    written = linked(event, "w", 7, "ab" * 32, b"key")
    read = Codec().decode(Codec().encode(written), AuditEvent)
    assert read == written
    assert event_hash(read) == read.hash
    assert (
        read.mac == hmac.new(b"key", str(read.hash).encode(), "sha256").hexdigest() == event_mac(str(read.hash), b"key")
    )


@given(audits, audits)
def test_two_events_have_the_same_form_only_if_they_are_the_same(one: AuditEvent, other: AuditEvent) -> None:
    for each in fields(AuditEvent):
        mixed = replace(one, **{each.name: getattr(other, each.name)})
        unhashed = each.name in ("hash", "mac")
        assert (canonical(mixed) == canonical(one)) is (unhashed or mixed == one), each.name


def test_without_a_key_there_is_no_mac() -> None:
    assert linked(AUDIT, "w", 1, None, None).mac is None
