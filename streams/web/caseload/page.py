"""The caseload as a page, and its rows alone for the live list; one query of the database and one audit event each."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from schemas.event_enums import AuditAction
from streams.access.audit import record_look
from streams.access.permissions import Permission
from streams.access.viewer import Viewer, viewer
from streams.api.problems import Problem
from streams.api.services import OurServices
from streams.history import cohorts as cohort_rows
from streams.history import live
from streams.history.caseload import Attention, CaseCounts, CaseloadFilter, CasePage, caseload, caseload_counts
from streams.history.episode import loaded
from streams.history.sealing import may_be_sealed
from streams.web.caseload.filter import Wanted, wanted
from streams.web.caseload.rows import badge_words, case_views, counts_line
from streams.web.episode.sentences import episode_words
from streams.web.languages import Language
from streams.web.pages import language_of, page, zone_of

ROWS = 50
URGENT = frozenset({Attention.CRITICAL, Attention.WARNING, Attention.SILENT, Attention.UNJUDGED})
"""What asks for a look."""

router = APIRouter(include_in_schema=False)
Asking = Annotated[Viewer, Depends(viewer)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the database holds for one view of the list.

    position: of live events, from which the page follows; whole_names: whether a search finds whole pseudonyms only.
    """

    page: CasePage
    counts: CaseCounts
    cohorts: tuple[str, ...]
    sentences: dict[str, str]
    position: str
    whole_names: bool


@router.get("/")
async def caseload_page(request: Request, services: OurServices, asking: Asking) -> HTMLResponse:
    """Everybody that the viewer may see, those who need a look first."""
    return await _answer(request, services, asking, "caseload.html")


@router.get("/caseload/rows")
async def rows_fragment(request: Request, services: OurServices, asking: Asking) -> HTMLResponse:
    """The same list without the page around it, for a list that is open. It is a look like any other."""
    return await _answer(request, services, asking, "caseload_live.html")


async def _answer(request: Request, services: OurServices, asking: Viewer, template: str) -> HTMLResponse:
    asked, language, after = wanted(request.query_params), language_of(request), request.query_params.get("after")
    people = asked.of(asking.cohorts, zone_of(request))
    try:
        shown = await services.database.read(read, people, after, asking.cohorts, language)
    except ValueError:
        raise Problem(400, detail="This place in the list is not known: open the list from its start.") from None
    await record_look(request, AuditAction.LISTED, "caseload", [row.user_id for row in shown.page.rows])
    with_scores = asking.may(Permission.PERSON)
    return page(
        request,
        template,
        cases=case_views(shown.page.rows, shown.sentences, language, with_scores),
        counts=shown.counts,
        counts_line=counts_line(shown.counts, language),
        nothing_urgent=_nothing_urgent(asked, after, shown.page),
        urgent=URGENT,
        with_scores=with_scores,
        wanted=asked,
        cohorts=shown.cohorts,
        states=[(state, badge_words(state, language)) for state in Attention],
        after=after,
        next=shown.page.next,
        whole_names=shown.whole_names,
        events=f"/api/v1/events?after={shown.position}",
    )


def read(
    connection: Connection,
    people: CaseloadFilter,
    after: str | None,
    cohorts: tuple[str, ...] | None,
    language: Language,
) -> Shown:
    """One view of the list. Raises ValueError when `after` is no cursor."""
    # Before the rows: what is stored in between is then an event, and not lost.
    position = live.position(connection).encode()
    found = caseload(connection, people, after, ROWS)
    named = tuple(name for name in cohort_rows.names(connection) if cohorts is None or name in cohorts)
    sentences = _sentences(connection, found, language)
    counts = caseload_counts(connection, cohorts)
    return Shown(found, counts, named, sentences, position, may_be_sealed(connection))


def _sentences(connection: Connection, found: CasePage, language: Language) -> dict[str, str]:
    """Sentences about the open episodes; none in English, in which the rows have them."""
    if language.tag == "en":
        return {}
    keys = [row.episode.dedup_key for row in found.rows if row.episode is not None]
    return {key: episode_words(episode, language) for key, episode in loaded(connection, keys).items()}


def _nothing_urgent(asked: Wanted, after: str | None, found: CasePage) -> bool:
    first = next(iter(found.rows), None)
    return not asked.anything and after is None and first is not None and first.attention not in URGENT
