"""What stands for a person in the audit trail."""

from schemas.audit_keys import KEYED, AuditKeys
from schemas.events import AuditEvent
from schemas.limits import check
from tests.unit.schemas.records import AUDIT


def test_a_person_is_a_keyed_hash_that_only_the_key_gives() -> None:
    keys, others = AuditKeys.of(b"secret"), AuditKeys.of(b"another")
    assert keys.person("p-1") == keys.person("p-1") != keys.person("p-2")
    assert keys.person("p-1") != others.person("p-1")
    assert keys.person("p-1").startswith(KEYED)
    assert keys.events != keys.people
    assert keys.person(keys.person("p-1")) == keys.person("p-1"), "what stands in the trail stays"


def test_without_a_key_the_pseudonym_stands_there() -> None:
    assert AuditKeys().person("p-1") == "p-1"


def test_a_thousand_keyed_hashes_are_within_the_limits_of_an_event() -> None:
    keys = AuditKeys.of(b"secret")
    people = tuple(keys.person(f"p-{n}") for n in range(1000))
    check(AuditEvent(AUDIT.audit_id, AUDIT.at, AUDIT.actor, AUDIT.role, AUDIT.action, AUDIT.resource, people))
