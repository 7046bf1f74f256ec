"""People: who needs a look, and one person's scores, episodes and marks."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from schemas.event_enums import AuditAction
from streams.access.audit import record_look
from streams.access.roles import Permission
from streams.api.problems import Problem, documented
from streams.api.routes.actions import ActionRequest, Performed, performed
from streams.api.routes.viewing import (
    Actor,
    CaseloadViewer,
    Cursor,
    Limit,
    PersonViewer,
    UserId,
    seen_person,
    without_scores,
)
from streams.api.services import OurServices
from streams.history.attention import Attention
from streams.history.caseload import CaseloadFilter, CaseloadRow, caseload
from streams.history.caseload_order import LONGEST_SEARCH
from streams.history.episode import Episode
from streams.history.person import Mark, Person, ScoreRow, episodes, marks, scores

router = APIRouter(
    prefix="/api/v1/people", tags=["people"], responses=documented(400, 401, 403, 404, 422, 429, 500, 503)
)

PERIOD = timedelta(days=90)
"""Of scores, where none is asked for."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEARCHED = "Part of the pseudonym; exactly all of it where the history is sealed."


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Some people, who need a look first. next: cursor of the next page, null on the last one."""

    items: list[CaseloadRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class ScorePage:
    """Some scores of one person, oldest first. next: cursor of the next page, null on the last one."""

    items: list[ScoreRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class PersonWithMarks:
    """One person, and what explains changes of theirs."""

    person: Person
    marks: list[Mark]


@router.get("")
async def list_people(
    request: Request,
    services: OurServices,
    asking: CaseloadViewer,
    search: Annotated[str, Query(max_length=LONGEST_SEARCH, description=SEARCHED)] = "",
    cohort: Annotated[list[str] | None, Query(max_length=50, description="Only these cohorts.")] = None,
    state: Annotated[list[Attention] | None, Query(max_length=10, description="Only in these states.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only where the state began then or later.")] = None,
    after: Cursor = None,
    limit: Limit = 50,
) -> PeoplePage:
    """List people, who need a look first, as far as you may see them. Operators see states and no scores."""
    wanted = CaseloadFilter(search.replace("\0", ""), _cohorts(asking.cohorts, cohort), frozenset(state or ()), since)
    try:
        page = await services.database.read(caseload, wanted, after, limit)
    except ValueError:
        raise wrong_cursor() from None
    rows = list(page.rows) if asking.may(Permission.PERSON) else [without_scores(row) for row in page.rows]
    await record_look(request, AuditAction.LISTED, "caseload", [row.user_id for row in rows])
    return PeoplePage(rows, page.next)


@router.get("/{user_id}")
async def get_person(request: Request, services: OurServices, _: PersonViewer, user_id: UserId) -> PersonWithMarks:
    """One person, and the marks on their time line."""
    found = await seen_person(request, services, user_id, "person")
    known = await services.database.read(marks, user_id)
    await record_look(request, AuditAction.VIEWED, "person", (user_id,))
    return PersonWithMarks(found, list(known))


@router.get("/{user_id}/scores")
async def list_scores(
    request: Request,
    services: OurServices,
    _: PersonViewer,
    user_id: UserId,
    since: Annotated[AwareDatetime | None, Query(description="Recorded then or later; default: 90 days ago.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Recorded before; default: now.")] = None,
    after: Cursor = None,
    limit: Limit = 200,
) -> ScorePage:
    """Scores of a person's memos with their evidence, oldest first."""
    end = until or datetime.now(UTC) + timedelta(days=1)
    passed = None if after is None else _passed(after)
    begin = max(since or end - PERIOD, EPOCH) if passed is None else passed[0]
    await seen_person(request, services, user_id, "scores")
    found = await services.database.read(scores, user_id, begin, max(end, EPOCH))
    rest = [row for row in found if passed is None or (row.recorded_at, row.memo_id) > passed]
    await record_look(request, AuditAction.VIEWED, "scores", (user_id,))
    page = rest[:limit]
    return ScorePage(page, _cursor(page[-1]) if len(rest) > limit else None)


@router.get("/{user_id}/episodes")
async def list_episodes(request: Request, services: OurServices, _: PersonViewer, user_id: UserId) -> list[Episode]:
    """The newest two hundred episodes of a person, newest first, with their steps and what was done."""
    await seen_person(request, services, user_id, "episodes")
    found = await services.database.read(episodes, user_id)
    await record_look(request, AuditAction.VIEWED, "episodes", (user_id,))
    return list(found)


@router.post("/{user_id}/actions", status_code=201, responses=documented(409, 413, 415))
async def act_on_person(
    request: Request, response: Response, services: OurServices, asking: Actor, user_id: UserId, wanted: ActionRequest
) -> Performed:
    """Mute or unmute a person, note something, or mark what explains a change. Repeating it changes nothing."""
    await seen_person(request, services, user_id, "person")
    return await performed(request, response, services, wanted.action_of(asking, user_id, None))


def _cohorts(own: tuple[str, ...] | None, asked: list[str] | None) -> tuple[str, ...] | None:
    """The cohorts to look in: those asked for that the viewer may see; None for all."""
    if asked is None:
        return own
    return tuple(name for name in asked if own is None or name in own)


def wrong_cursor() -> Problem:
    """A cursor that no page gave."""
    return Problem(422, errors=({"where": "query.after", "what": "is no `next` of a page: begin without it"},))


def _cursor(row: ScoreRow) -> str:
    return urlsafe_b64encode(f"{row.recorded_at.isoformat()} {row.memo_id}".encode()).decode()


def _passed(cursor: str) -> tuple[datetime, str]:
    """Time and memo of the last score of the page before."""
    try:
        moment, _, memo = urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        found = datetime.fromisoformat(moment)
    except ValueError:
        raise wrong_cursor() from None
    if found.tzinfo is None or found < EPOCH or not memo:
        raise wrong_cursor()
    return found, memo
