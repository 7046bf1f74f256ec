"""The table of routes."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from schemas.errors import ConfigurationError
from schemas.event_enums import AuditAction
from streams.access import permissions
from streams.access.permissions import (
    A_FORM,
    ROUTES,
    Permission,
    check_routes,
    methods_of,
    require,
    route_of,
    routes_of,
)
from streams.access.viewer import StaffRole, Viewer

SHOWS_PERSONS = {"caseload", "person", "act", "export", "fhir"}


@pytest.fixture(autouse=True)
def _compiled_for_this_test() -> Iterator[None]:
    permissions.rows_of.cache_clear()
    yield
    permissions.rows_of.cache_clear()


def test_a_route_that_shows_persons_is_audited() -> None:
    unaudited = [path for path, row in ROUTES.items() if row.permission.value in SHOWS_PERSONS and not row.audited]
    assert unaudited == []


def test_what_changes_anything_is_audited_but_for_one_s_own_choices_and_a_file_that_is_verified() -> None:
    unaudited = {path for (method, path), row in ROUTES.items() if method != "GET" and not row.audited}
    assert unaudited == {"/choices", "/signout", "/erasures/verify", "/api/v1/erasures/verify"}


def test_a_row_says_which_event_or_why_there_is_none() -> None:
    assert all(row.audited or row.event.why for row in ROUTES.values())  # type: ignore[union-attr]
    with pytest.raises(TypeError, match="event"):
        permissions.Route(Permission.UPLOAD)  # type: ignore[call-arg]


def test_what_no_row_lists_has_no_permission() -> None:
    assert route_of("GET", "/unlisted") is None
    assert route_of("DELETE", "/people/a") is None
    assert route_of("GET", "/people/a/b") is None
    assert route_of("GET", "/static/") is not None


def test_head_needs_what_get_needs() -> None:
    assert route_of("HEAD", "/people/a") == route_of("GET", "/people/a") == ROUTES["GET", "/people/{user_id}"]
    assert methods_of("/people/a") == ("GET",)
    assert methods_of("/unlisted") == ()


def test_a_path_without_parameters_wins_over_one_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        ("GET", "/things/{key}"): permissions.Route(Permission.PERSON, AuditAction.VIEWED),
        ("GET", "/things/all"): permissions.Route(Permission.SYSTEM, A_FORM),
    }
    monkeypatch.setattr(permissions, "ROUTES", rows)
    found = route_of("GET", "/things/all")
    assert found is not None
    assert found.permission is Permission.SYSTEM


def test_an_application_with_a_route_without_a_row_does_not_start(tmp_path: str) -> None:
    async def show() -> None: ...

    application, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    router.add_api_route("/people/{user_id}", show)
    application.include_router(router)
    application.mount("/static", StaticFiles(directory=tmp_path))
    check_routes(application)
    assert routes_of(application) == [("GET", "/people/{user_id}"), ("GET", "/static/{path:path}")]
    router.add_api_route("/secret", show, methods=["POST", "GET"])
    with pytest.raises(ConfigurationError, match=r"GET /secret, POST /secret"):
        check_routes(application)


async def test_a_route_can_require_a_permission_of_its_own() -> None:
    operator = Viewer("o", frozenset({StaffRole.OPERATOR}))
    request = Request({"type": "http", "headers": [], "state": {"viewer": operator}})
    assert await require(Permission.SYSTEM)(request) is operator
    with pytest.raises(HTTPException) as refused:
        await require(Permission.PERSON)(request)
    assert refused.value.status_code == 403
