"""What somebody asks to be done about a person or an episode, and the answer."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.event_enums import AuditAction, CareActionKind, CareOutcome, MarkKind
from schemas.events import CareAction
from schemas.limits import LimitError, check
from streams.access.audit import record_look
from streams.access.viewer import Viewer
from streams.api.problems import Problem
from streams.api.services import Services

IDEMPOTENCY_KEY = "idempotency-key"
"""Header that names a request, so that repeating it changes nothing; as the field `action_id`."""
OF_EPISODE = frozenset({CareActionKind.ACKNOWLEDGED, CareActionKind.HANDED_OVER, CareActionKind.NOTED})
OF_PERSON = frozenset(
    {CareActionKind.NOTED, CareActionKind.MUTED, CareActionKind.UNMUTED, CareActionKind.MARKED, CareActionKind.UNMARKED}
)

Text = Annotated[str, Field(max_length=2000)]
Id = Annotated[str, Field(min_length=1, max_length=128)]


class ActionRequest(BaseModel):
    """One action, and the fields that it takes.

    acknowledged: `outcome`, `note`; handed_over: `assignee`, `note`; noted: `note`; muted: `until`, `note`; marked:
    `mark`, `since`, `until`, `note`, `excluded`; unmarked: `mark_id`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: CareActionKind
    action_id: Id | None = None
    outcome: CareOutcome | None = None
    note: Text | None = None
    assignee: Id | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    mark: MarkKind | None = None
    excluded: bool = False
    mark_id: Id | None = None

    def action_of(self, asking: Viewer, user_id: str, dedup_key: str | None) -> CareAction:
        """The record. Raises Problem 422 for an action that this address does not take, or that lacks something."""
        taken = OF_PERSON if dedup_key is None else OF_EPISODE
        if self.action not in taken:
            raise _wrong("action", f"must be one of {', '.join(sorted(taken))} here")
        if self.action in _NEEDS and getattr(self, _NEEDS[self.action]) is None:
            raise _wrong(_NEEDS[self.action], f"is needed for {self.action}")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise _wrong("until", "must be after `since`")
        now = datetime.now(UTC)
        if self.action is CareActionKind.MUTED and self.until is not None and self.until <= now:
            raise _wrong("until", "must be in the future")
        fields = self.model_dump(exclude={"action_id", "action"})
        return CareAction(
            self.action_id or "", user_id, _milliseconds(now), asking.subject, self.action, dedup_key, **fields
        )


_NEEDS = {
    CareActionKind.HANDED_OVER: "assignee",
    CareActionKind.NOTED: "note",
    CareActionKind.MARKED: "mark",
    CareActionKind.UNMARKED: "mark_id",
}
"""The field that an action cannot do without."""


@dataclass(frozen=True, slots=True)
class Performed:
    """An action that is done. repeated: it was done before, and nothing changed."""

    action: CareAction
    repeated: bool


async def performed(request: Request, response: Response, services: Services, action: CareAction) -> Performed:
    """Do it, once it is recorded who does. Raises Problem 422 for a field outside of its limit, 503 by Transient."""
    action_id = action.action_id or request.headers.get(IDEMPOTENCY_KEY) or str(uuid4())
    action = replace(action, action_id=action_id)
    try:
        check(action)
    except LimitError as error:
        raise Problem(422, detail=f"The action cannot be recorded: {error}.") from None
    await record_look(request, AuditAction.ACTED, action.action.value, (action.user_id,))
    new = await services.perform(action)
    response.status_code = 201 if new else 200
    return Performed(action, repeated=not new)


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _wrong(field: str, what: str) -> Problem:
    return Problem(422, errors=({"where": f"body.{field}", "what": what},))
