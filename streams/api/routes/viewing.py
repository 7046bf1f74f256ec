"""What routes about persons share: who may see which person, and what an operator is not shown."""

from dataclasses import replace
from typing import Annotated, TypeAlias

from fastapi import Depends, Path, Query, Request
from starlette.exceptions import HTTPException

from schemas.event_enums import AuditAction
from schemas.limits import ID
from schemas.reasons import CONSENT
from streams.access.audit import check_person, record_look, record_refusal
from streams.access.permissions import require
from streams.access.roles import Permission
from streams.access.viewer import Viewer
from streams.api.problems import Problem
from streams.api.services import Services
from streams.api.uploads.receive import Accepted
from streams.history.caseload import CaseloadRow
from streams.history.cohorts import cohorts_of
from streams.history.episode import Episode, episode
from streams.history.person import Person, person
from workers.consumer.consents import refused_by

CaseloadViewer: TypeAlias = Annotated[Viewer, Depends(require(Permission.CASELOAD))]
PersonViewer: TypeAlias = Annotated[Viewer, Depends(require(Permission.PERSON))]
Actor: TypeAlias = Annotated[Viewer, Depends(require(Permission.ACT))]
Uploader: TypeAlias = Annotated[Viewer, Depends(require(Permission.UPLOAD))]
SystemViewer: TypeAlias = Annotated[Viewer, Depends(require(Permission.SYSTEM))]

NOT_TAKEN = (
    "The consent of this person is {}: what was sent was not kept. `undertone consent` records that it was given."
)

UserId: TypeAlias = Annotated[str, Path(min_length=1, max_length=128, description="Pseudonym.")]
DedupKey: TypeAlias = Annotated[str, Path(min_length=1, max_length=128, description="Key of an episode.")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=200, description="Most entries of a page.")]
Cursor: TypeAlias = Annotated[
    str | None, Query(max_length=512, description="`next` of the page before; none for the first page.")
]


async def seen_person(request: Request, services: Services, user_id: str, resource: str) -> Person:
    """The person, if the viewer may see them. Raises HTTPException 404, the same for whoever is not there."""
    if not ID.accepts(user_id):
        raise await _nothing(request, resource)
    found = await services.database.read(person, user_id)
    await check_person(request, None if found is None else found.cohort, user_id, resource)
    assert found is not None  # check_person has raised
    return found


async def seen_episode(request: Request, services: Services, dedup_key: str) -> Episode:
    """The episode, if the viewer may see its person. Raises HTTPException 404, the same for one that is not there."""
    found = await services.database.read(episode, dedup_key) if ID.accepts(dedup_key) else None
    if found is None:
        raise await _nothing(request, "episode")
    of = await services.database.read(person, found.user_id)
    await check_person(request, None if of is None else of.cohort, found.user_id, "episode")
    return found


async def check_speaker(request: Request, services: Services, user_id: str) -> None:
    """Raises HTTPException 404 for somebody of a cohort that the viewer does not see, and records that.

    user_id: a valid pseudonym, of a person who may have no memo yet.
    """
    found = await services.database.read(cohorts_of, [user_id], services.cohorts)
    await check_person(request, found[user_id], user_id, "memo")


async def check_consent(services: Services, user_id: str) -> None:
    """Raises Problem 409 for somebody who may not be listened to. Raises Transient while that is unknown."""
    standing = await services.consents.standing(user_id)
    if (reason := refused_by(standing, required=services.settings.consent == "required")) is not None:
        raise Problem(409, "No memo is taken", NOT_TAKEN.format(reason.removeprefix(CONSENT)))


async def uploaded_memo(request: Request, services: Services) -> Accepted:
    """Take the memo that a request uploads. Raises HTTPException, and then nothing of it is kept."""

    async def permit(user_id: str) -> None:
        await check_speaker(request, services, user_id)
        await check_consent(services, user_id)

    async def record(user_id: str) -> None:
        await record_look(request, AuditAction.UPLOADED, "memo", (user_id,))

    return await services.uploads.take(request, permit, record)


async def _nothing(request: Request, resource: str) -> HTTPException:
    await record_refusal(request, resource)
    return HTTPException(404, "No such person, or none that you may see.")


def without_scores(row: CaseloadRow) -> CaseloadRow:
    """What somebody sees who may see states and no scores."""
    row = replace(row, last_band=None, last_probability=None, spark=(), indeterminate_reason=None)
    return row if row.episode is None else replace(row, episode=replace(row.episode, summary=""))
