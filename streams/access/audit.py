"""Audit events: each look at people's data is one record, acknowledged by Kafka before anything is shown.

A look whose record Kafka does not take shows nothing: 503. The middleware withholds an answer that should have been
recorded and was not (`streams/access/guard.py`), so a route that forgets `record_look` shows nothing either.
"""

import logging
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request

from schemas.audit_reason import kept_reason
from schemas.errors import Transient
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from streams.access.viewer import Channel, Viewer, optional_viewer, viewer
from workers.service import prometheus

log = logging.getLogger(__name__)

_PROOFS = {
    # Whoever reaches the loopback interface is a user of this machine.
    Channel.LOCAL: ActorProof.OS_USER,
    Channel.SESSION: ActorProof.OIDC,
    Channel.BEARER: ActorProof.OIDC,
}
UNKNOWN_ACTOR = "unknown"
"""Actor of a sign-in that failed: no token proved who it was."""
REASON_HEADER = "undertone-reason"
"""By which whoever asks may say why."""
NO_SUCH_PERSON = "No such person, or none that you may see."
"""Says the same of a person who does not exist, of one of another cohort, and of what belongs to either."""
_NOT_RECORDED = (
    "This look could not be recorded, so nothing is shown: Kafka does not answer. Try again in a few seconds."
)


class AuditTrail(Protocol):
    """Where audit events go: `streams/audit/trail.py` has the one of Kafka."""

    async def record(self, event: AuditEvent) -> None:
        """Returns when the event cannot be lost any more. Raises Transient when it was not taken."""


async def record_look(
    request: Request,
    action: AuditAction,
    resource: str,
    user_ids: Collection[str] = (),
    reason: str | None = None,
) -> None:
    """Record what this request is about to show or do; call it once, before the answer.

    resource: what it is, such as `person`; user_ids: the pseudonyms that are shown; reason: why, if it was said
    otherwise than in the header `Undertone-Reason`. Raises HTTPException 503 when the event was not taken.
    """
    asking = await viewer(request)
    state = request.scope["state"]
    if state.get("look"):
        raise RuntimeError(f"a request is one look: {resource} was to be a second event")
    event = audit_event(asking, action, resource, user_ids, reason or _reason_of(request))
    await _record(request, event)
    state["look"] = action


async def record_refusal(request: Request, resource: str, user_ids: Collection[str] = ()) -> None:
    """Record that nothing was shown to a viewer who asked for it. Where Kafka does not take it, it is only logged."""
    asking = optional_viewer(request)
    event = audit_event(asking, AuditAction.REFUSED, resource, user_ids, _reason_of(request), allowed=False)
    try:
        await _trail(request).record(event)
    except Transient as error:
        log.warning("a refusal was not recorded: %s", error)


async def record_session(request: Request, asking: Viewer | None, action: AuditAction, *, allowed: bool = True) -> None:
    """Record a step of a session. asking: None for a sign-in that failed. Raises HTTPException 503 as record_look."""
    await _record(request, audit_event(asking, action, "session", (), None, allowed=allowed))


async def check_person(request: Request, cohort: str | None, user_id: str, resource: str = "person") -> None:
    """Raises HTTPException 404 unless the viewer may see this person, and records that.

    cohort: the person's, None if there is no such person. Both cases do the same and answer the same, so neither the
    answer nor its time shows whether a person exists.
    """
    asking = await viewer(request)
    if cohort is None or not asking.sees(cohort):
        await record_refusal(request, resource, (user_id,))
        raise HTTPException(404, NO_SUCH_PERSON)


def audit_event(
    asking: Viewer | None,
    action: AuditAction,
    resource: str,
    user_ids: Collection[str],
    reason: str | None,
    *,
    allowed: bool = True,
) -> AuditEvent:
    """The event of one look. asking: None for somebody who is not signed in."""
    return AuditEvent(
        audit_id=str(uuid4()),
        at=datetime.now(UTC),
        actor=asking.subject if asking else UNKNOWN_ACTOR,
        role=asking.role if asking else "none",
        action=action,
        resource=resource,
        user_ids=tuple(user_ids),
        reason=kept_reason(reason or ""),
        allowed=allowed,
        proof=_PROOFS[asking.channel] if asking else ActorProof.NONE,
    )


async def _record(request: Request, event: AuditEvent) -> None:
    try:
        await _trail(request).record(event)
    except Transient as error:
        log.warning("an audit event was not taken: %s", error)
        prometheus.REQUESTS_REFUSED.labels(reason="unrecorded").inc()
        raise HTTPException(503, _NOT_RECORDED, {"Retry-After": "5"}) from error


def _trail(request: Request) -> AuditTrail:
    trail: AuditTrail = request.app.state.access.trail
    return trail


def _reason_of(request: Request) -> str | None:
    return request.headers.get(REASON_HEADER)
