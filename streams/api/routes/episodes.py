"""Episodes: evidence, what happened since, and what was done about them."""

from fastapi import APIRouter, Request, Response

from schemas.event_enums import AuditAction
from streams.access.audit import record_look
from streams.api.problems import documented
from streams.api.routes.actions import ActionRequest, Performed, performed
from streams.api.routes.viewing import Actor, DedupKey, PersonViewer, seen_episode
from streams.api.services import OurServices
from streams.history.episode import Episode

router = APIRouter(
    prefix="/api/v1/episodes", tags=["episodes"], responses=documented(400, 401, 403, 404, 422, 429, 500, 503)
)


@router.get("/{dedup_key}")
async def get_episode(request: Request, services: OurServices, _: PersonViewer, dedup_key: DedupKey) -> Episode:
    """One episode, with the evidence of each step and every action."""
    found = await seen_episode(request, services, dedup_key)
    await record_look(request, AuditAction.VIEWED, "episode", (found.user_id,))
    return found


@router.post("/{dedup_key}/actions", status_code=201, responses=documented(409, 413, 415))
async def act_on_episode(
    request: Request,
    response: Response,
    services: OurServices,
    asking: Actor,
    dedup_key: DedupKey,
    wanted: ActionRequest,
) -> Performed:
    """Acknowledge an episode with an outcome, hand it over, or add a note. Repeating it changes nothing."""
    found = await seen_episode(request, services, dedup_key)
    return await performed(request, response, services, wanted.action_of(asking, found.user_id, dedup_key))
