"""Memos: upload one, and see where it is on its way."""

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from schemas.event_enums import AuditAction
from schemas.events import Evidence, MemoFeatures, Modality, Quality, RiskScored
from schemas.json_records import json_line
from schemas.limits import ID
from schemas.markers import MARKER_NAMES
from schemas.reasons import CONSENT
from streams.access.audit import record_look
from streams.access.roles import Permission
from streams.api.event_stream import EventStream, frame
from streams.api.problems import Problem, documented
from streams.api.routes.viewing import Uploader, check_speaker, uploaded_memo
from streams.api.services import OurServices, Services
from streams.api.uploads.progress import MemoProgress, Progress
from streams.api.uploads.receive import FILE
from streams.history.person import ScoreRow, memo_score

router = APIRouter(prefix="/api/v1/memos", tags=["memos"], responses=documented(400, 401, 403, 429, 500, 503))


Speaker: TypeAlias = Annotated[
    str | None,
    Query(min_length=1, max_length=128, description="Pseudonym of the speaker: any process then finds the score."),
]
_UNKNOWN = (
    "This process accepted no such memo lately. Ask with `user_id`, the pseudonym of the speaker: every process "
    "then finds the score, once there is one. A memo without a score is known where it was uploaded."
)
_UNSCORED = (
    "This process accepted no such memo lately, and the history has no score of it. Ask again in some seconds; "
    "if there never is one, upload the memo again, which changes nothing where it has arrived."
)


class Uploaded(BaseModel):
    """A memo that Kafka has. repeated: it was accepted before, and nothing changed."""

    memo_id: str
    user_id: str
    recorded_at: datetime
    repeated: bool


class Step(BaseModel):
    """One step: `accepted`, `features:MODALITY`, `scored` or `dead_letter`, and seconds after it was accepted."""

    step: str
    after_s: float


class Marker(BaseModel):
    """One acoustic marker in its own unit; null where it is undefined. fragile: the recording may have moved it."""

    name: str
    value: float | None
    fragile: bool


class MemoScore(BaseModel):
    """The score of a memo."""

    probability: float | None
    band: str
    reasons: list[str]
    evidence: list[Evidence]
    bundle_id: str


class MemoFailure(BaseModel):
    """Why a memo has no score."""

    stage: str
    reason: str
    detail: str


class MemoState(BaseModel):
    """Where a memo is. score, markers, quality: null until they are known, or for a viewer who may see no scores."""

    memo_id: str
    user_id: str
    recorded_at: datetime
    state: Literal["accepted", "features", "scored", "dead_letter"]
    steps: list[Step]
    duration_s: float | None = None
    quality: Quality | None = None
    markers: list[Marker] | None = None
    score: MemoScore | None = None
    failure: MemoFailure | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The score of a memo in the history, and whose it is."""

    user_id: str
    score: ScoreRow


_TEXT = {"type": "string"}
_FIELDS: dict[str, dict[str, Any]] = {
    "user_id": {**_TEXT, "minLength": 1, "maxLength": 128, "description": "Pseudonym of the speaker."},
    "recorded_at": {**_TEXT, "format": "date-time", "description": "When it was recorded, with its time zone."},
    "sha256": {**_TEXT, "pattern": "^[0-9a-fA-F]{64}$", "description": "Digest that the audio must have."},
    "language": {**_TEXT, "maxLength": 64, "description": "BCP 47, such as `de`."},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": [FILE, "user_id", "recorded_at"],
        "properties": {**_FIELDS, FILE: {"type": "string", "format": "binary"}},
    }
}
_UPLOAD: dict[str, Any] = {
    "parameters": [
        {"in": "query", "name": name, "required": False, "schema": schema} for name, schema in _FIELDS.items()
    ],
    "requestBody": {
        "required": True,
        "description": "The audio itself, with its fields in the query; or a form with everything.",
        "content": {"audio/*": _BINARY, "video/webm": _BINARY, "multipart/form-data": _FORM},
    },
}


@router.post("", status_code=202, openapi_extra=_UPLOAD, responses=documented(404, 408, 409, 413, 415, 422))
async def upload_memo(request: Request, response: Response, services: OurServices, _: Uploader) -> Uploaded:
    """Upload a memo. The same audio, person and time of recording are the same memo, however often they are sent.

    The answer comes once Kafka has the memo; `Location` shows where it is. A digest in `Content-Digest`, `Digest` or
    `sha256` is checked. Of an upload that fails nothing is kept.
    """
    accepted = await uploaded_memo(request, services)
    memo = accepted.memo
    response.headers["Location"] = f"/api/v1/memos/{memo.memo_id}"
    return Uploaded(
        memo_id=memo.memo_id, user_id=memo.user_id, recorded_at=memo.recorded_at, repeated=accepted.repeated
    )


@router.get("/{memo_id}", responses=documented(404, 422))
async def get_memo(
    request: Request, services: OurServices, asking: Uploader, memo_id: str, user_id: Speaker = None
) -> MemoState:
    """Where a memo is. The process that accepted it knows every step of its last some hundred memos.

    With `user_id`, any other process knows the score, as soon as there is one.
    """
    seen, scores = await _seen(request, services, memo_id, user_id), asking.may(Permission.PERSON)
    return state_of(seen, scores=scores) if isinstance(seen, Progress) else stored_state(seen, scores=scores)


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An event `memo` with its state at once and after every step, until it is scored.",
        "content": {"text/event-stream": {"schema": _TEXT}},
    }
}


@router.get(
    "/{memo_id}/events", status_code=200, response_class=EventStream, responses={**_STREAM, **documented(404, 422)}
)
async def follow_memo(
    request: Request, services: OurServices, asking: Uploader, memo_id: str, user_id: Speaker = None
) -> EventStream:
    """Follow one memo until it is scored."""
    seen, scores = await _seen(request, services, memo_id, user_id), asking.may(Permission.PERSON)
    frames = (
        _frames(services.uploads.progress, seen, scores)
        if isinstance(seen, Progress)
        else _last_frame(stored_state(seen, scores=scores))
    )
    return EventStream(frames, services.closing)


async def _frames(following: MemoProgress, progress: Progress, scores: bool) -> AsyncGenerator[bytes]:
    async for _ in following.steps(progress):
        data = state_of(progress, scores=scores).model_dump(mode="json")
        yield frame("memo", json_line(data), str(progress.steps))


async def _last_frame(state: MemoState) -> AsyncGenerator[bytes]:
    yield frame("memo", json_line(state.model_dump(mode="json")), str(len(state.steps)))


async def _seen(request: Request, services: Services, memo_id: str, user_id: str | None) -> Progress | Stored:
    """A memo that the viewer may see. Raises HTTPException 404."""
    seen: Progress | Stored | None = await services.uploads.progress.current(memo_id)
    speaker = seen.memo.user_id if isinstance(seen, Progress) else user_id
    if speaker is None:
        raise Problem(404, detail=_UNKNOWN)
    if not ID.accepts(speaker):
        raise Problem(404, detail=_UNSCORED)
    await check_speaker(request, services, speaker)
    if seen is None:
        score = await services.database.read(memo_score, speaker, memo_id)
        if score is None:
            raise Problem(404, detail=_UNSCORED)
        seen = Stored(speaker, score)
    await record_look(request, AuditAction.VIEWED, "memo", (speaker,))
    return seen


def state_of(progress: Progress, *, scores: bool) -> MemoState:
    """What is shown of a memo. scores: whether the viewer may see what was measured."""
    first = next(iter(progress.features.values()), None)
    reached: Literal["accepted", "features", "scored", "dead_letter"] = "features" if first else "accepted"
    letter, score = progress.letter, progress.score
    state = MemoState(
        memo_id=progress.memo.memo_id,
        user_id=progress.memo.user_id,
        recorded_at=progress.memo.recorded_at,
        state="scored" if score else "dead_letter" if letter else reached,
        steps=[Step(step=name, after_s=round(after_s, 3)) for name, after_s in progress.after_s.items()],
        failure=None if letter is None else MemoFailure(stage=letter.stage, reason=letter.reason, detail=letter.detail),
    )
    if not scores or first is None or unheard(first):
        return state.model_copy(update={"score": _score(score) if scores and score else None})
    measured = {"duration_s": first.duration_s, "quality": first.quality, "score": _score(score) if score else None}
    return state.model_copy(update={**measured, "markers": _markers(progress.features.get(Modality.ACOUSTIC))})


def unheard(features: MemoFeatures) -> bool:
    """Whether they are of a memo that no worker read, for lack of consent: nothing was measured."""
    return any(reason.startswith(CONSENT) for reason in features.quality.reasons)


def stored_state(stored: Stored, *, scores: bool) -> MemoState:
    """The same of a memo of which only the score is known; seconds are then from its upload to its score."""
    score = stored.score
    took_s = max((score.scored_at - score.uploaded_at).total_seconds(), 0.0)
    return MemoState(
        memo_id=score.memo_id,
        user_id=stored.user_id,
        recorded_at=score.recorded_at,
        state="scored",
        steps=[Step(step="accepted", after_s=0.0), Step(step="scored", after_s=round(took_s, 3))],
        score=_score(score) if scores else None,
    )


def _score(score: RiskScored | ScoreRow) -> MemoScore:
    return MemoScore(
        probability=score.probability,
        band=score.band.value,
        reasons=list(score.reasons),
        evidence=list(score.evidence),
        bundle_id=score.bundle_id,
    )


def _markers(acoustic: MemoFeatures | None) -> list[Marker] | None:
    if acoustic is None:
        return None
    values = dict(zip(acoustic.names, acoustic.summary.tolist(), strict=True))
    fragile = set(acoustic.quality.fragile)
    known = {name: values[name] for name in MARKER_NAMES if name in values}
    return [
        Marker(name=name, value=value if math.isfinite(value) else None, fragile=name in fragile)
        for name, value in known.items()
    ]
