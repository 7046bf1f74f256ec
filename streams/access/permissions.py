"""What each route needs: one table. The application does not start with a route that it does not list."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from re import Pattern

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount, compile_path

from schemas.errors import ConfigurationError
from streams.access.roles import Permission
from streams.access.viewer import Viewer, viewer

__all__ = ["ROUTES", "Permission", "Route", "check_routes", "methods_of", "require", "route_of", "routes_of"]

NOT_PERMITTED = "Your role does not permit this: ask an administrator."


@dataclass(frozen=True, slots=True)
class Route:
    """What one route needs. audited: an answer that is no error leaves exactly one audit event, before its content."""

    permission: Permission
    audited: bool = False


ROUTES: Mapping[tuple[str, str], Route] = {
    # Everybody
    ("GET", "/healthz"): Route(Permission.PUBLIC),
    ("GET", "/static/{path:path}"): Route(Permission.PUBLIC),
    ("GET", "/api/v1/openapi.json"): Route(Permission.PUBLIC),
    ("GET", "/signin"): Route(Permission.PUBLIC),
    ("GET", "/signin/callback"): Route(Permission.PUBLIC),
    ("GET", "/signedout"): Route(Permission.PUBLIC),
    # Whoever is signed in
    ("POST", "/signout"): Route(Permission.ACCOUNT),
    ("GET", "/choices"): Route(Permission.ACCOUNT),
    ("POST", "/choices"): Route(Permission.ACCOUNT),
    # Pages
    ("GET", "/"): Route(Permission.CASELOAD, audited=True),
    ("GET", "/caseload/rows"): Route(Permission.CASELOAD, audited=True),
    ("GET", "/people/{user_id}"): Route(Permission.PERSON, audited=True),
    ("GET", "/people/{user_id}/scores.csv"): Route(Permission.EXPORT, audited=True),
    ("POST", "/people/{user_id}/marks"): Route(Permission.ACT, audited=True),
    ("POST", "/people/{user_id}/marks/remove"): Route(Permission.ACT, audited=True),
    ("GET", "/episodes/{dedup_key}"): Route(Permission.PERSON, audited=True),
    ("POST", "/episodes/{dedup_key}/actions"): Route(Permission.ACT, audited=True),
    ("GET", "/system"): Route(Permission.SYSTEM),
    ("GET", "/system/redrive"): Route(Permission.REDRIVE),
    ("POST", "/system/redrive"): Route(Permission.REDRIVE, audited=True),
    ("GET", "/try"): Route(Permission.UPLOAD),
    ("POST", "/try"): Route(Permission.UPLOAD, audited=True),
    ("GET", "/try/memos"): Route(Permission.UPLOAD, audited=True),
    ("GET", "/try/progress"): Route(Permission.UPLOAD),
    ("GET", "/try/plots/{name}"): Route(Permission.PERSON, audited=True),
    # API
    ("GET", "/api/v1/people"): Route(Permission.CASELOAD, audited=True),
    ("GET", "/api/v1/people/{user_id}"): Route(Permission.PERSON, audited=True),
    ("GET", "/api/v1/people/{user_id}/scores"): Route(Permission.PERSON, audited=True),
    ("GET", "/api/v1/people/{user_id}/episodes"): Route(Permission.PERSON, audited=True),
    ("POST", "/api/v1/people/{user_id}/actions"): Route(Permission.ACT, audited=True),
    ("GET", "/api/v1/episodes/{dedup_key}"): Route(Permission.PERSON, audited=True),
    ("POST", "/api/v1/episodes/{dedup_key}/actions"): Route(Permission.ACT, audited=True),
    ("GET", "/api/v1/events"): Route(Permission.CASELOAD, audited=True),
    ("POST", "/api/v1/memos"): Route(Permission.UPLOAD, audited=True),
    ("GET", "/api/v1/memos/{memo_id}"): Route(Permission.UPLOAD, audited=True),
    ("GET", "/api/v1/memos/{memo_id}/events"): Route(Permission.UPLOAD, audited=True),
    ("GET", "/api/v1/system"): Route(Permission.SYSTEM),
    ("GET", "/fhir/metadata"): Route(Permission.PUBLIC),
    ("GET", "/fhir/RiskAssessment"): Route(Permission.FHIR, audited=True),
}
"""What each route needs, by method and path template. A request that no row matches is answered 404."""


def route_of(method: str, path: str) -> Route | None:
    """The row for a request, None where there is none. HEAD is as GET."""
    wanted = "GET" if method == "HEAD" else method
    return next((row for pattern, row in rows_of(wanted) if pattern.match(path)), None)


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that rows have for a path; empty where none matches."""
    methods = dict.fromkeys(method for method, _ in ROUTES)
    return tuple(method for method in methods if route_of(method, path) is not None)


@cache
def rows_of(method: str) -> tuple[tuple[Pattern[str], Route], ...]:
    """Patterns of a method's rows, those without parameters first."""
    rows = sorted((path.count("{"), path) for verb, path in ROUTES if verb == method)
    return tuple((compile_path(path)[0], ROUTES[method, path]) for _, path in rows)


def require(permission: Permission) -> Callable[[Request], Awaitable[Viewer]]:
    """A dependency for a route: who asks; 403 without the permission. The table is enforced before it."""

    async def allowed(request: Request) -> Viewer:
        asking = await viewer(request)
        if not asking.may(permission):
            raise HTTPException(403, NOT_PERMITTED)
        return asking

    return allowed


def check_routes(application: FastAPI) -> None:
    """Raises ConfigurationError for a route of the application that the table does not list."""
    missing = [f"{method} {path}" for method, path in routes_of(application) if (method, path) not in ROUTES]
    if missing:
        raise ConfigurationError(
            f"routes without a permission: {', '.join(missing)}; give each a row in streams/access/permissions.py"
        )


def routes_of(application: FastAPI) -> list[tuple[str, str]]:
    """Method and path template of every route, mounted folders as `PATH/{path:path}`; HEAD counts as GET."""
    found: list[tuple[str, str]] = []
    for context in iter_route_contexts(application.routes):
        route = context.original_route
        if isinstance(route, Mount):
            found.append(("GET", f"{route.path}/{{path:path}}"))
            continue
        methods: Iterable[str] = context.methods or ("GET",)
        found += [(method, str(context.path)) for method in sorted(methods) if method != "HEAD"]
    return list(dict.fromkeys(found))
