"""The pages of a trial: send memos by a form, follow them, see what became of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from schemas.bundle_manifest import bundle_id
from schemas.event_enums import AuditAction
from schemas.events import DeadLetter, Modality
from schemas.limits import ID
from streams.access.audit import record_look
from streams.access.permissions import Permission, require
from streams.access.viewer import Viewer
from streams.api.problems import Problem
from streams.api.routes.viewing import check_speaker, uploaded_memo
from streams.api.services import OurServices, Services
from streams.api.uploads.progress import Progress
from streams.web.languages import Language
from streams.web.notices import DEMO
from streams.web.pages import language_of, page
from streams.web.trial.outcome import MarkerRow, Outcome, marker_rows, outcome
from streams.web.trial.plot import Plots
from streams.web.trial.steps import Step, advice, steps

MOST_FILES = 10
"""Recordings sent at a time."""
SHORTEST_S, LONGEST_S = 3.0, 120.0
"""Of what the page records: less says nothing, and more, uncompressed, exceeds the limit of an upload."""
SUGGESTED = "visitor"

router = APIRouter(include_in_schema=False)
Sender = Annotated[Viewer, Depends(require(Permission.UPLOAD))]
Ids = Annotated[list[str], Query(alias="id", min_length=1, max_length=MOST_FILES)]


@dataclass(frozen=True, slots=True)
class Followed:
    """One memo as the pages show it. What only its clinicians may see is empty for others and before it is scored."""

    memo_id: str
    steps: list[Step]
    letter: DeadLetter | None
    advice: str
    user_id: str = ""
    recorded_at: datetime | None = None
    outcome: Outcome | None = None
    demonstration: bool = False
    markers: tuple[MarkerRow, ...] = ()
    plotted: bool = False


@router.get("/try")
async def try_page(request: Request, services: OurServices, _: Sender) -> HTMLResponse:
    """The form, with the browser's recorder where scripts run."""
    return _form(request, services, language_of(request))


@router.post("/try")
async def send(request: Request, services: OurServices, _: Sender) -> Response:
    """One recording of the form, for browsers without scripts; with them the page sends to the API."""
    language = language_of(request)
    try:
        accepted = await uploaded_memo(request, services)
    except Problem as problem:
        wrong = {error["where"]: error["what"] for error in problem.errors}
        told = "" if wrong else f"{problem.title}. {problem.detail}"
        return _form(request, services, language, problem.status, told, wrong)
    return RedirectResponse(f"/try/memos{_query([accepted.memo.memo_id])}", 303)


@router.get("/try/memos")
async def memos_page(request: Request, services: OurServices, sender: Sender, ids: Ids) -> HTMLResponse:
    """Memos on their way, and what became of them: a look at their speakers' data."""
    known = [(each, await _known(request, services, each)) for each in dict.fromkeys(ids)]
    found = [memo for _, memo in known if memo is not None]
    sees = sender.may(Permission.PERSON)
    await record_look(request, AuditAction.VIEWED, "memo", sorted({memo.memo.user_id for memo in found}))
    done = all(map(services.uploads.progress.has_ended, found))
    for memo in found if sees else ():
        plots_of(request).start(memo.memo)
    language, modalities = language_of(request), services.settings.modalities
    shown = [await _shown(request, each, memo, modalities, language, sees) for each, memo in known]
    return page(
        request,
        "try_memos.html",
        memos=shown,
        finished=done,
        query=_query(ids),
        hidden=done and bool(found) and not sees,
    )


@router.get("/try/progress")
async def progress_fragment(request: Request, services: OurServices, _: Sender, ids: Ids) -> HTMLResponse:
    """How far memos are, without what they say and whose they are."""
    known = [(each, await _known(request, services, each)) for each in dict.fromkeys(ids)]
    language, modalities = language_of(request), services.settings.modalities
    shown = [await _shown(request, each, memo, modalities, language, sees=False) for each, memo in known]
    done = all(services.uploads.progress.has_ended(memo) for _, memo in known if memo is not None)
    return page(request, "try_progress.html", memos=shown, finished=done, query=_query(ids))


@router.get("/try/plots/{name}")
async def plot(request: Request, services: OurServices, sender: Sender, name: str) -> Response:
    """The plot of one memo. name: its id and `.png`."""
    memo_id = name.removesuffix(".png")
    memo = await _known(request, services, memo_id)
    drawn = None if memo is None or not sender.may(Permission.PERSON) else await plots_of(request).start(memo.memo)
    if memo is None or drawn is None:
        raise Problem(404)
    await record_look(request, AuditAction.VIEWED, "plot", (memo.memo.user_id,))
    return Response(drawn, media_type="image/png", headers={"Cache-Control": "no-store"})


def plots_of(request: Request) -> Plots:
    """The plots of this application."""
    found: Plots = request.app.state.plots
    return found


async def _known(request: Request, services: Services, memo_id: str) -> Progress | None:
    """A memo that this process accepted. Raises HTTPException 404 for a speaker that the viewer may not see."""
    found = await services.uploads.progress.current(memo_id)
    if found is not None:
        await check_speaker(request, services, found.memo.user_id)
    return found


async def _shown(
    request: Request,
    memo_id: str,
    memo: Progress | None,
    modalities: Iterable[Modality],
    language: Language,
    sees: bool,
) -> Followed:
    if memo is None:
        return Followed(memo_id, [], None, "")
    letter = None if memo.score is not None else memo.letter
    shown = Followed(
        memo_id, steps(memo, modalities, language), letter, "" if letter is None else advice(letter, language)
    )
    if memo.score is None or not sees:
        return shown
    acoustic = memo.features.get(Modality.ACOUSTIC)
    return replace(
        shown,
        user_id=memo.memo.user_id,
        recorded_at=memo.memo.recorded_at,
        outcome=outcome(memo.score, language),
        demonstration=memo.score.bundle_id.startswith(DEMO),
        markers=() if acoustic is None else tuple(marker_rows(acoustic, language)),
        plotted=await plots_of(request).start(memo.memo) is not None,
    )


def _query(ids: Iterable[str]) -> str:
    return f"?{urlencode([('id', each) for each in ids])}"


def _form(
    request: Request,
    services: Services,
    language: Language,
    status: int = 200,
    problem: str = "",
    wrong: Mapping[str, str] = MappingProxyType({}),
) -> HTMLResponse:
    """The form. wrong: what is wrong, by field."""
    bundle = bundle_id(services.settings.bundle) or ""
    user_wrong = language.gettext(_USER_WRONG) % {"rule": ID.rule} if "user_id" in wrong else ""
    audio = [text for field, text in wrong.items() if field != "user_id"]
    return page(
        request,
        "try.html",
        status,
        demonstration=bundle.startswith(DEMO),
        problem=problem,
        user_id=SUGGESTED,
        user_wrong=user_wrong,
        audio_wrong=audio[0] if audio else "",
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        most_files=MOST_FILES,
        most_megabytes=services.settings.audio_max_bytes // 2**20,
        shortest_s=SHORTEST_S,
        longest_s=LONGEST_S,
    )


_ = str  # marks messages; they are translated where they are shown
_USER_WRONG = _("The pseudonym must be %(rule)s.")
