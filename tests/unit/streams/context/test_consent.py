from datetime import UTC, datetime

from schemas.event_enums import ConsentState
from schemas.limits import check
from streams.context.consent import consent_of

NOW = datetime(2026, 5, 1, 12, 0, 0, 123_456, tzinfo=UTC)


def test_a_word_is_within_the_limits_of_its_record_whatever_was_typed() -> None:
    said = consent_of("ann", ConsentState.PAUSED, "dr-b", "on\x07 holiday " + "ü" * 2000, NOW)
    check(said)
    assert (said.user_id, said.state, said.actor, said.at.microsecond) == ("ann", ConsentState.PAUSED, "dr-b", 123_000)
    assert (said.reason or "").startswith("on holiday")


def test_a_request_that_is_repeated_is_the_same_word() -> None:
    assert consent_of("ann", ConsentState.GIVEN, "dr-b", None, NOW, "form-1").consent_id == "form-1"
    assert len({consent_of("ann", ConsentState.GIVEN, "dr-b", None, NOW).consent_id for _ in range(2)}) == 2
