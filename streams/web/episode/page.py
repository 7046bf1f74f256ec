"""One episode as a page, and what people do about it: plain forms, answered by a redirect to the page."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection

from schemas.event_enums import AlertKind, AlertState, AuditAction, Band, CareActionKind
from streams.access.audit import check_person, record_look, record_refusal
from streams.access.permissions import Permission
from streams.access.viewer import Viewer, viewer
from streams.api.problems import Problem
from streams.api.services import OurServices, Services
from streams.history.caseload import Attention
from streams.history.episode import Episode
from streams.history.episode import episode as episode_of
from streams.history.person import Person
from streams.history.person import person as person_of
from streams.web.caseload.rows import badge_words, sentence
from streams.web.caseload.sparkline import in_words
from streams.web.episode.chart import chart, points_of
from streams.web.episode.evidence import evidence_views
from streams.web.episode.forms import OUTCOMES, READERS, About, Sent, read
from streams.web.episode.sentences import step_words
from streams.web.episode.timeline import OUTCOMES as OUTCOME_WORDS
from streams.web.episode.timeline import done_words, entries
from streams.web.languages import Language, gettext_noop
from streams.web.pages import language_of, page, zone_of

router = APIRouter(include_in_schema=False)
Asking = Annotated[Viewer, Depends(viewer)]

FORM_FIELDS = 20
KINDS = {
    AlertKind.DRIFT: gettext_noop("The scores of this person's memos moved away from their own past."),
    AlertKind.LEVEL: gettext_noop("Most recent scores of this person are in the high band."),
    AlertKind.SILENCE: gettext_noop("This person has sent no memo for longer than is usual for them."),
    AlertKind.UNKNOWN: gettext_noop("A rule of a newer Undertone raised this."),
}
BANDS = {
    Band.LOW: gettext_noop("low band"),
    Band.HIGH: gettext_noop("high band"),
    Band.INDETERMINATE: gettext_noop("not judged"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """An episode and whose it is."""

    episode: Episode
    person: Person | None

    @property
    def cohort(self) -> str:
        """Of the person; empty where the history has no row of theirs."""
        return "" if self.person is None else self.person.cohort


@router.get("/episodes/{dedup_key}")
async def episode_page(request: Request, dedup_key: str, services: OurServices, asking: Asking) -> Response:
    """Why it was raised, what was done about it, and what to do."""
    found = await _found(request, services, dedup_key)
    await record_look(request, AuditAction.VIEWED, "episode", (found.episode.user_id,))
    return _page(request, asking, found, None)


@router.post("/episodes/{dedup_key}/actions")
async def act(request: Request, dedup_key: str, services: OurServices, asking: Asking) -> Response:
    """Do what a form of the page asks for, once; a form with errors comes back with them."""
    found = await _found(request, services, dedup_key)
    form = await request.form(max_files=0, max_fields=FORM_FIELDS)
    values = {name: value for name, value in form.items() if isinstance(value, str)}
    about = About(
        found.episode.user_id, dedup_key, asking.subject, datetime.now(UTC), zone_of(request), language_of(request)
    )
    sent = read(values, about)
    if sent.action is None:
        await record_look(request, AuditAction.VIEWED, "episode", (found.episode.user_id,))
        return _page(request, asking, found, sent)
    await record_look(request, AuditAction.ACTED, "episode", (found.episode.user_id,))
    await services.perform(sent.action)
    return RedirectResponse(f"/episodes/{quote(dedup_key, safe='')}?done={sent.action.action_id}#done", 303)


async def _found(request: Request, services: Services, dedup_key: str) -> Found:
    """The episode, which the viewer may see. Raises HTTPException 404 for any other."""
    found = await services.database.read(_read, dedup_key)
    if found is None:
        await record_refusal(request, "episode")
        raise Problem(404, detail="No such episode, or none that you may see: open it from the caseload.")
    await check_person(request, found.cohort, found.episode.user_id, "episode")
    return found


def _read(connection: Connection, dedup_key: str) -> Found | None:
    episode = episode_of(connection, dedup_key)
    return None if episode is None else Found(episode, person_of(connection, episode.user_id))


def _page(request: Request, asking: Viewer, found: Found, sent: Sent | None) -> Response:
    language, now = language_of(request), datetime.now(UTC)
    muted_until = None if found.person is None else found.person.row.muted_until
    return page(
        request,
        "episode.html",
        200 if sent is None else 422,
        None,
        **_told(found.episode, language),
        sent=sent,
        done=_done(found.episode, request.query_params.get("done"), language),
        may_act=asking.may(Permission.ACT),
        outcomes=[(str(each), language.gettext(OUTCOME_WORDS[each])) for each in OUTCOMES],
        muted_until=muted_until if muted_until is not None and muted_until > now else None,
        forms={str(kind): _form(kind, sent) for kind in READERS},
    )


@dataclass(frozen=True, slots=True)
class Form:
    """One form of the page. name: what it asks for; values and errors: of the last attempt, empty texts without one."""

    name: str
    action_id: str
    values: Mapping[str, str]
    errors: Mapping[str, str]


def _form(kind: CareActionKind, sent: Sent | None) -> Form:
    if sent is None or sent.kind is not kind:
        return Form(str(kind), uuid4().hex, defaultdict(str), defaultdict(str))
    values, errors = defaultdict(str, sent.values), defaultdict(str, sent.errors)
    return Form(str(kind), values["action_id"] or uuid4().hex, values, errors)


def _told(episode: Episode, language: Language) -> Mapping[str, object]:
    """What the page says of the episode itself."""
    open_steps = [step for step in episode.steps if step.state is not AlertState.RESOLVED]
    telling = open_steps[-1] if open_steps else episode.steps[-1]
    points = points_of(episode.steps)
    badge = _badge(episode)
    return {
        "episode": episode,
        "kind": badge,
        "badge_words": language.gettext("over") if badge is Attention.NONE else badge_words(badge, language),
        "summary": sentence(step_words(episode.steps[-1], language)),
        "what": language.gettext(KINDS[episode.kind]),
        "evidence": evidence_views(telling.evidence, language),
        "silence": episode.kind is AlertKind.SILENCE,
        "chart": chart(points, episode.steps),
        "scores_words": in_words([point.probability for point in points], language),
        "bands": {band: language.gettext(words) for band, words in BANDS.items()},
        "timeline": entries(episode.steps, episode.actions, language),
    }


def _badge(episode: Episode) -> Attention:
    if not episode.open:
        return Attention.NONE
    return Attention.SILENT if episode.kind is AlertKind.SILENCE else Attention(str(episode.severity))


@dataclass(frozen=True, slots=True)
class Done:
    """What has just been stored."""

    what: str
    until: datetime | None


def _done(episode: Episode, action_id: str | None, language: Language) -> Done | None:
    """The action that a redirect names, as it is stored; None for any other id."""
    action = next((each for each in episode.actions if each.action_id == action_id), None)
    return None if action is None else Done(done_words(action, language), action.until)
