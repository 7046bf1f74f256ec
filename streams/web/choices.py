"""Language and time zone of the viewer, kept in two cookies of their own browser."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from streams.web.formats import zones
from streams.web.languages import COOKIE as LANGUAGE_COOKIE
from streams.web.languages import languages
from streams.web.pages import ZONE_COOKIE, page, zone_of

YEAR_S = 365 * 86400
LONGEST = 2000

router = APIRouter()


@router.get("/choices")
async def choices_page(request: Request, back: str = "/") -> HTMLResponse:
    """The form. back: the page to return to."""
    return page(request, "choices.html", back=own_path(back), zones=sorted(zones()), chosen=zone_of(request).key)


@router.post("/choices")
async def choose(
    request: Request,
    language: Annotated[str, Form(max_length=20)] = "",
    zone: Annotated[str, Form(max_length=100)] = "",
    back: Annotated[str, Form(max_length=LONGEST)] = "/",
) -> RedirectResponse:
    """Keep what was chosen; what is no language or no zone changes nothing."""
    answer = RedirectResponse(own_path(back), 303)
    for name, value, known in ((LANGUAGE_COOKIE, language, languages()), (ZONE_COOKIE, zone, zones())):
        if value in known:
            answer.set_cookie(name, value, YEAR_S, secure=request.url.scheme == "https", samesite="lax")
    return answer


def own_path(text: str) -> str:
    """A path of this dashboard; the caseload for the address of anything else.

    >>> own_path("/people/x?from=1"), own_path("//elsewhere.example"), own_path("https://elsewhere.example")
    ('/people/x?from=1', '/', '/')
    """
    inside = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) <= LONGEST
    return text if inside else "/"
