"""Errors as pages: what is wrong and what to do, in the viewer's language, where a program gets a problem."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from streams.api.problems import Problem
from streams.web.languages import gettext_noop
from streams.web.pages import language_of, page


@dataclass(frozen=True, slots=True)
class Words:
    """Of one status. title: what is wrong; advice: what to do."""

    title: str
    advice: str


WORDS: Mapping[int, Words] = {
    400: Words(
        gettext_noop("This address cannot be read"),
        gettext_noop("Follow a link of the dashboard, or correct the address."),
    ),
    401: Words(gettext_noop("You are not signed in"), gettext_noop("Sign in and open the page again.")),
    403: Words(
        gettext_noop("Your role does not permit this"),
        gettext_noop(
            "If your work needs it, ask whoever manages the accounts. A page that was open for long may need to "
            "be loaded again before its form is sent."
        ),
    ),
    404: Words(
        gettext_noop("Nothing is here"),
        gettext_noop(
            "The address is wrong, the data is older than what is kept, or you may not see this person. Search "
            "in the caseload."
        ),
    ),
    413: Words(gettext_noop("This is too large"), gettext_noop("Send less: a shorter text or a shorter recording.")),
    422: Words(gettext_noop("A value is not valid"), gettext_noop("Go back, correct it and submit the form.")),
    429: Words(gettext_noop("Too many requests"), gettext_noop("Wait a minute and load the page again.")),
    503: Words(
        gettext_noop("A part of the system does not answer"),
        gettext_noop(
            "No memo and no alert is lost: they wait in Kafka. Load the page again in a few seconds. If it "
            "stays like this, tell whoever operates Undertone."
        ),
    ),
}
DEFECT = Words(
    gettext_noop("Something went wrong"),
    gettext_noop("This is a defect of Undertone. Nothing was changed; whoever operates it finds the cause in the log."),
)  # fmt: skip


async def error_page(request: Request, problem: Problem) -> Response:
    """The page of a problem. It needs neither database nor Kafka."""
    language = language_of(request)
    words = WORDS.get(problem.status, DEFECT if problem.status >= 500 else WORDS[400])
    return page(
        request,
        "error.html",
        problem.status,
        problem.headers,
        code=problem.status,
        title=language.gettext(words.title),
        advice=language.gettext(words.advice),
        detail=problem.detail,
        sent=request.method not in {"GET", "HEAD"},
        again=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        retry=problem.status in {429, 500, 503},
    )
