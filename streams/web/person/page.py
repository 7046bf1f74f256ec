"""The page of one person, and their scores as a file."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, TypeAlias
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection

from schemas.errors import Transient, UnreadableState
from schemas.event_enums import AuditAction
from schemas.events import RiskScored
from schemas.state_keys import DRIFT
from streams.access.audit import record_look
from streams.access.permissions import require
from streams.access.roles import Permission
from streams.access.viewer import Viewer
from streams.api.routes.viewing import Actor, PersonViewer, UserId, seen_person
from streams.api.services import OurServices, Services
from streams.drift.rules import Rules
from streams.drift.user_state import prior_of
from streams.history.care import actions_of
from streams.history.person import Person, ScoreRow, episodes, marks, scores
from streams.web.charts.person_charts import person_charts
from streams.web.episode.sentences import episode_words
from streams.web.pages import language_of, page, zone_of
from streams.web.person.context_form import MARK_KINDS, GivenMark, NotAMark, marking, unmarking
from streams.web.person.happened import KINDS, MARKS, STATES
from streams.web.person.reader import Reader
from streams.web.person.report import Asked, Period, PersonReport, Stored, report
from streams.web.person.scores_csv import scores_csv
from streams.web.person.words import judged_words, reasons_words
from workers.consumer.consents import Standing

router = APIRouter(include_in_schema=False)
FORM_FIELDS = 10
CONSENT_WITHIN_S = 3.0
"""Seconds for which a page waits for what the person said."""
Exporter: TypeAlias = Annotated[Viewer, Depends(require(Permission.EXPORT))]
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@router.get("/people/{user_id}")
async def person_page(
    request: Request,
    services: OurServices,
    asking: PersonViewer,
    user_id: UserId,
    days: Period = Period.QUARTER,
    memo: Annotated[str | None, Query(max_length=256)] = None,
    page: Annotated[int, Query(ge=1)] = 1,
) -> HTMLResponse:
    """Scores, drift, markers, episodes and context of one person."""
    known = await seen_person(request, services, user_id, "person")
    await record_look(request, AuditAction.VIEWED, "person", (user_id,))
    return await shown(request, services, asking, known, Asked(days, memo, page))


@router.get("/people/{user_id}/scores.csv")
async def person_scores(
    request: Request, services: OurServices, asking: Exporter, user_id: UserId, days: Period = Period.ALL
) -> Response:
    """One line for each memo of the period, with what each chart shows."""
    await seen_person(request, services, user_id, "scores.csv")
    await record_look(request, AuditAction.EXPORTED, "scores.csv", (user_id,))
    stored = await services.database.read(stored_of, user_id)
    rules = await rules_of(services, user_id)
    text = await asyncio.to_thread(lambda: scores_csv(_report(request, rules, stored, Asked(days)).shown.memos))
    headers = {"Content-Disposition": 'attachment; filename="scores.csv"', "Cache-Control": "no-store"}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/people/{user_id}/marks")
async def add_mark(request: Request, services: OurServices, asking: Actor, user_id: UserId) -> Response:
    """Add a context mark, once for each form that was loaded; a form with an error comes back with it."""
    known = await seen_person(request, services, user_id, "person")
    given = GivenMark.of(await _fields(request))
    try:
        action = marking(given, user_id, asking.subject, zone_of(request), datetime.now(UTC))
    except NotAMark as error:
        await record_look(request, AuditAction.VIEWED, "person", (user_id,))
        return await shown(request, services, asking, known, Asked(), given, str(error))
    await record_look(request, AuditAction.ACTED, "person", (user_id,))
    await services.perform(action)
    return _back_to(user_id)


@router.post("/people/{user_id}/marks/remove")
async def remove_mark(request: Request, services: OurServices, asking: Actor, user_id: UserId) -> Response:
    """Take a context mark back."""
    known = await seen_person(request, services, user_id, "person")
    fields = await _fields(request)
    try:
        action = unmarking(
            fields.get("mark_id", ""), fields.get("action_id", ""), user_id, asking.subject, datetime.now(UTC)
        )
    except NotAMark as error:
        await record_look(request, AuditAction.VIEWED, "person", (user_id,))
        return await shown(request, services, asking, known, Asked(), None, str(error))
    await record_look(request, AuditAction.ACTED, "person", (user_id,))
    await services.perform(action)
    return _back_to(user_id)


async def shown(
    request: Request,
    services: Services,
    asking: Viewer,
    known: Person,
    asked: Asked,
    given: GivenMark | None = None,
    wrong: str = "",
) -> HTMLResponse:
    """The page. given, wrong: a form that could not be taken, and why. Call it after `record_look`."""
    stored = await services.database.read(stored_of, known.user_id)
    rules = await rules_of(services, known.user_id)
    said = await said_by(services, known.user_id)
    return await asyncio.to_thread(_render, request, rules, asking, known, stored, asked, given, wrong, said)


async def said_by(services: Services, user_id: str) -> Standing | None:
    """What the person said to being listened to; None also where Kafka does not say it in time."""
    try:
        async with asyncio.timeout(CONSENT_WITHIN_S):
            return await services.consents.standing(user_id)
    except (Transient, TimeoutError):
        return None


async def rules_of(services: Services, user_id: str) -> Rules:
    """The agent's rules for this person; without Redis those for somebody new."""
    rules, key = Rules.from_settings(services.settings), DRIFT.key(user_id)
    try:
        state = (await services.store.read([key]))[key]
        prior = rules.chart.phi if state is None else prior_of(state)
    except (Transient, UnreadableState):
        return rules
    return rules._replace(chart=rules.chart._replace(phi=prior))


async def _fields(request: Request) -> dict[str, str]:
    form = await request.form(max_files=0, max_fields=FORM_FIELDS)
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _back_to(user_id: str) -> RedirectResponse:
    return RedirectResponse(f"/people/{quote(user_id, safe='')}#context", status_code=303)


def stored_of(connection: Connection, user_id: str) -> Stored:
    """Everything that is stored of a person."""
    return Stored(
        [_scored(user_id, row) for row in scores(connection, user_id, FIRST, LAST)],
        episodes(connection, user_id),
        marks(connection, user_id),
        actions_of(connection, [user_id]).get(user_id, []),
    )


def _scored(user_id: str, row: ScoreRow) -> RiskScored:
    """A stored score as the record that it was."""
    return RiskScored(
        score_id=row.score_id,
        memo_id=row.memo_id,
        user_id=user_id,
        recorded_at=row.recorded_at,
        uploaded_at=row.uploaded_at,
        scored_at=row.scored_at,
        probability=row.probability,
        band=row.band,
        reasons=row.reasons,
        evidence=row.evidence,
        modalities=row.modalities,
        bundle_id=row.bundle_id,
    )


def _report(request: Request, rules: Rules, stored: Stored, asked: Asked) -> PersonReport:
    return report(stored, asked, rules, _reader(request), datetime.now(UTC))


def _still(muted_until: datetime | None) -> datetime | None:
    """The end of a mute that is not over."""
    return muted_until if muted_until is not None and muted_until > datetime.now(UTC) else None


def _reader(request: Request) -> Reader:
    language = language_of(request)
    return Reader(language.gettext, language.locale, zone_of(request))


def _render(
    request: Request,
    rules: Rules,
    asking: Viewer,
    known: Person,
    stored: Stored,
    asked: Asked,
    given: GivenMark | None,
    wrong: str,
    said: Standing | None,
) -> HTMLResponse:
    reader, made = _reader(request), _report(request, rules, stored, asked)
    return page(
        request,
        "person.html",
        status=422 if wrong else 200,
        user_id=known.user_id,
        report=made,
        charts=person_charts(made, language_of(request).tag, reader),
        asked=asked,
        periods=list(Period),
        episodes=stored.episodes,
        open_episodes=[each for each in stored.episodes if each.closed_at is None],
        said=said,
        muted_until=_still(known.row.muted_until),
        marks=stored.marks,
        may_act=asking.may(Permission.ACT),
        may_export=asking.may(Permission.EXPORT),
        mark_kinds=MARK_KINDS,
        mark_names=MARKS,
        sentences={each.dedup_key: episode_words(each, language_of(request)) for each in stored.episodes},
        kinds=KINDS,
        states=STATES,
        judged=judged_words,
        reasons=reasons_words,
        value=reader.measured,
        new_id=lambda: uuid4().hex,
        given=given or GivenMark(),
        wrong=wrong,
    )
