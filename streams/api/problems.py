"""Errors of the API as RFC 9457 problems: what is wrong, where, and what to do.

Any code below a route raises `Problem`; `add_to` turns it, and every error that FastAPI itself raises, into a response.
A person's browser gets the same words as a page, where the application has a maker of error pages.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from schemas.errors import Poison, Transient
from streams.access.audit import NO_SUCH_PERSON
from streams.fhir.answers import FHIR_JSON, operation_outcome
from workers.kafka.connect import outage

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
FHIR = "/fhir/"
"""Addresses below this answer as FHIR clients expect it."""
BLANK = "about:blank"
"""The type of a problem that its status says all about."""
RETRY_AFTER_S = 5
"""Seconds after which a client may ask a dependency that was unavailable again."""

ErrorPage: TypeAlias = Callable[[Request, "Problem"], Awaitable[Response]]
"""Makes the page of a problem, for a person."""

ADVICE: Mapping[int, str] = {
    400: "The request cannot be read: check its syntax.",
    401: "Sign in, or send a valid bearer token.",
    403: "Your role does not permit this: ask an administrator.",
    404: "Nothing is here: check the address.",
    405: "This address does not take this method: the header `Allow` names those it takes.",
    406: "Ask for a media type that this address gives.",
    408: "The request did not arrive in time: retry over a faster connection.",
    411: "Send the header `Content-Length`.",
    413: "The request is too large: send less.",
    414: "The address is too long: send fewer or shorter parameters.",
    415: "Send the body as a media type that this address takes.",
    422: "A value of the request is not valid: correct the fields in `errors`.",
    429: "Too many requests: wait for the seconds in the header `Retry-After`.",
    500: "This is a defect of Undertone; nothing was changed. An operator finds it in the log.",
    503: "A service that this needs does not answer: try again after the seconds in the header `Retry-After`.",
}
"""What to do about a status, where no code gave a more exact advice."""


class Problem(HTTPException):
    """The answer to a request that cannot be served.

    An HTTPException, which FastAPI lets pass where it reads a body; any other error it would call a wrong body.

    status: of HTTP; title: the same for every occurrence; detail: what to do about this one, no id, path or content;
    kind: URI reference by which programs distinguish this problem from others of the same status; errors: one entry a
    wrong field, `{"where": "query.limit", "what": "…"}`.
    """

    def __init__(
        self,
        status: int,
        title: str | None = None,
        detail: str | None = None,
        kind: str = BLANK,
        headers: Mapping[str, str] | None = None,
        errors: tuple[Mapping[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail or ADVICE.get(status, "Check the request and try again.")
        self.kind, self.errors = kind, errors
        waits = {"Retry-After": str(RETRY_AFTER_S)} if status in {429, 503} else {}
        super().__init__(status, self.detail, {**waits, **(headers or {})})

    def body(self) -> dict[str, Any]:
        """The members of the JSON object."""
        fields = {"type": self.kind, "title": self.title, "status": self.status, "detail": self.detail}
        return fields | ({"errors": [*self.errors]} if self.errors else {})

    def response(self) -> Response:
        """The problem as JSON."""
        headers = {"Cache-Control": "no-store", **(self.headers or {})}
        return JSONResponse(self.body(), self.status, headers=headers, media_type=MEDIA_TYPE)

    def outcome(self) -> Response:
        """The problem as a FHIR client reads it."""
        wrong = "; ".join(f"{error['where']}: {error['what']}" for error in self.errors)
        body = operation_outcome(self.status, f"{self.title}: {wrong or self.detail}")
        headers = {"Cache-Control": "no-store", **(self.headers or {})}
        return JSONResponse(body, self.status, headers=headers, media_type=FHIR_JSON)


def unavailable(what: str, detail: str | None = None) -> Problem:
    """A dependency does not answer. what: its name for an operator, such as `Kafka`."""
    return Problem(503, f"{what} does not answer", detail)


class FieldError(BaseModel):
    """One wrong field of a request."""

    where: str
    what: str


class ProblemBody(BaseModel):
    """A problem as RFC 9457 describes it; `errors` names wrong fields."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route in the OpenAPI document: these statuses answer with a problem."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {each: {"description": HTTPStatus(each).phrase, "content": content} for each in sorted(set(statuses))}


def add_to(app: FastAPI, error_page: ErrorPage | None = None) -> None:
    """Answer every error of this application by a problem; error_page: for requests of a browser."""

    async def answer(request: Request, problem: Problem) -> Response:
        if problem.status == 404 and getattr(request.state, "conceals", False):
            problem = Problem(404, detail=NO_SUCH_PERSON)
        if request.url.path.startswith(FHIR):
            return problem.outcome()
        if error_page is not None and for_person(request):
            return await error_page(request, problem)
        return problem.response()

    async def handle(request: Request, error: Exception) -> Response:
        return await answer(request, problem_of(error))

    # What a middleware or a handler raises besides these reaches the boundary, which asks `app.state.answer`.
    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle)
    app.state.answer = handle


def problem_of(error: Exception) -> Problem:
    """The problem that an error means; one that was not expected is logged, and is a 500."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return Problem(422, errors=tuple(map(_field, error.errors())))
        case HTTPException():
            own = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
            return Problem(error.status_code, detail=own, headers=error.headers)
        case Transient():
            return Problem(503, detail=f"{error}. Try again later.")
        case Poison():
            return Problem(422, detail=error.detail)
    if waiting := outage(error):
        return Problem(503, detail=f"{waiting}. Try again later.")
    log.error("request failed", exc_info=error)
    return Problem(500)


def for_person(request: Request) -> bool:
    """Whether a browser shows the answer: it asks for HTML, and not below the addresses of programs."""
    programs = request.url.path.startswith(("/api/", FHIR))
    return not programs and "text/html" in request.headers.get("accept", "")


def _field(error: Mapping[str, Any]) -> Mapping[str, str]:
    """Where and what; the value itself stays out, it may be personal."""
    return {"where": ".".join(map(str, error["loc"])), "what": str(error["msg"])}
