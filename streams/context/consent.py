"""What somebody said to being listened to, as the record of it. Pure."""

from datetime import datetime
from uuid import uuid4

from schemas.audit_reason import kept_reason
from schemas.care_events import Consent
from schemas.event_enums import ConsentState


def consent_of(
    user_id: str, state: ConsentState, actor: str, reason: str | None, now: datetime, consent_id: str | None = None
) -> Consent:
    """The record. consent_id: of a request that may be repeated; None for a new one."""
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return Consent(consent_id or uuid4().hex, user_id, moment, state, actor, kept_reason(reason or ""))
