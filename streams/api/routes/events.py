"""`GET /api/v1/events`: live events, as Server-Sent Events."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request

from schemas import topics
from schemas.event_enums import AuditAction
from streams.access.audit import record_look
from streams.access.permissions import require
from streams.access.roles import Permission
from streams.access.viewer import Viewer
from streams.api.event_stream import EventStream
from streams.api.problems import Problem, documented
from streams.api.services import OurServices
from streams.history.live import LIVE_TOPICS, LiveEvent, Position

router = APIRouter(prefix="/api/v1", tags=["events"], responses=documented(400, 401, 403, 422, 429, 500, 503))

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events as long as the client stays. `event` is the topic, or `reset`: what was missed is not "
        "known any more, load again. `id` resumes in `Last-Event-ID`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/events", status_code=200, response_class=EventStream, responses=STREAM)
async def follow_events(
    request: Request,
    services: OurServices,
    asking: Annotated[Viewer, Depends(require(Permission.CASELOAD))],
    wanted: Annotated[
        str,
        Query(alias="topics", max_length=200, description="Comma-separated; default: all.", examples=["risk.alerts"]),
    ] = ",".join(LIVE_TOPICS),
    user_id: Annotated[str | None, Query(max_length=128, description="Events of this person only.")] = None,
    after: Annotated[
        str | None, Query(max_length=4096, description="Position from which on events are wanted; default: now.")
    ] = None,
    last_event_id: Annotated[str | None, Header(max_length=4096, description="As `after`, and before it.")] = None,
) -> EventStream:
    """Follow what is new: scores, steps of episodes, and what people did; of people that you may see."""
    names = frozenset(name.strip() for name in wanted.split(",") if name.strip())
    if unknown := names - set(LIVE_TOPICS):
        raise Problem(
            422,
            errors=({"where": "query.topics", "what": f"{len(unknown)} unknown; known are {', '.join(LIVE_TOPICS)}"},),
        )

    def sees(event: LiveEvent) -> bool:
        return asking.sees(event.cohort) and (user_id is None or event.user_id == user_id)

    known = _position(last_event_id or after)
    await record_look(request, AuditAction.LISTED, "events", () if user_id is None else (user_id,))
    show = _shown if asking.may(Permission.PERSON) else _shown_without_scores
    return EventStream(services.live.frames(known, names, sees, show), services.closing)


def _position(text: str | None) -> Position | None:
    try:
        return None if text is None else Position.decode(text)
    except ValueError:
        raise Problem(400, detail="Send the id of an event as `Last-Event-ID`, or none to begin now.") from None


def _shown(event: LiveEvent) -> Mapping[str, object]:
    """An event as JSON."""
    return {
        "topic": event.topic,
        "user_id": event.user_id,
        "cohort": event.cohort,
        "at": event.at,
        "kind": event.kind,
        "id": event.record_id,
        "dedup_key": event.dedup_key,
    }


def _shown_without_scores(event: LiveEvent) -> Mapping[str, object]:
    """The same for a viewer who may not know what a score says."""
    shown = _shown(event)
    return {**shown, "kind": None} if event.topic == topics.SCORED.name else shown
