from datetime import UTC, datetime

from schemas.care_events import AuditEvent, CareAction, Consent
from schemas.codec import Codec
from schemas.event_enums import AuditAction, CareActionKind, ConsentState
from tests.unit.schemas.records import AUDIT, CARE, MARK

CODEC = Codec()
AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_an_action_says_only_what_it_is_about() -> None:
    noted = CareAction("action-3", "user-1", AT, "clinician-1", CareActionKind.NOTED, note="slept badly")
    assert CODEC.decode(CODEC.encode(noted), CareAction) == noted
    assert not noted.excluded, "a memo is left out of a baseline only where somebody says so"
    assert MARK.excluded
    assert MARK.mark is not None
    assert CARE.outcome is not None


def test_a_look_was_allowed_unless_it_is_said() -> None:
    refused = AuditEvent("audit-2", AT, "unknown", "none", AuditAction.REFUSED, "person", allowed=False)
    assert AUDIT.allowed
    assert CODEC.decode(CODEC.encode(refused), AuditEvent) == refused


def test_a_word_needs_no_reason() -> None:
    given = Consent("consent-2", "user-1", AT, ConsentState.GIVEN, "local")
    assert CODEC.decode(CODEC.encode(given), Consent) == given
