"""What each route needs, and which audit event it leaves: one table.

The application does not start with a route that it does not list.
"""

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
from schemas.event_enums import AuditAction
from streams.access.roles import Permission
from streams.access.viewer import Viewer, viewer
from streams.audit.commands import COUNTS, Unaudited

__all__ = ["ROUTES", "Permission", "Route", "check_routes", "methods_of", "require", "route_of", "routes_of"]

NOT_PERMITTED = "Your role does not permit this: ask an administrator."


@dataclass(frozen=True, slots=True)
class Route:
    """What one route needs. event: an answer that is no error leaves exactly one of this action, before its content."""

    permission: Permission
    event: AuditAction | Unaudited

    @property
    def audited(self) -> bool:
        """Whether its answers leave an event."""
        return isinstance(self.event, AuditAction)


FOR_ANYBODY = Unaudited("shows nothing of this installation's people or staff")
SIGNING_IN = Unaudited("leaves `signed_in` or `refused` once the identity provider has answered")
SIGNING_OUT = Unaudited("leaves `signed_out` where there is a session to end")
A_FORM = Unaudited("a form, of no person")
OWN = Unaudited("language and time zone of whoever asks")
PROGRESS = Unaudited("says how far memos are, not what they say or whose they are")
ERASURES = Unaudited("names no one: a keyed hash, a random subject and steps")

ROUTES: Mapping[tuple[str, str], Route] = {
    # Everybody
    ("GET", "/healthz"): Route(Permission.PUBLIC, FOR_ANYBODY),
    ("GET", "/static/{path:path}"): Route(Permission.PUBLIC, FOR_ANYBODY),
    ("GET", "/api/v1/openapi.json"): Route(Permission.PUBLIC, FOR_ANYBODY),
    ("GET", "/signin"): Route(Permission.PUBLIC, SIGNING_IN),
    ("GET", "/signin/callback"): Route(Permission.PUBLIC, SIGNING_IN),
    ("GET", "/signedout"): Route(Permission.PUBLIC, FOR_ANYBODY),
    # Whoever is signed in
    ("POST", "/signout"): Route(Permission.ACCOUNT, SIGNING_OUT),
    ("GET", "/choices"): Route(Permission.ACCOUNT, OWN),
    ("POST", "/choices"): Route(Permission.ACCOUNT, OWN),
    # Pages
    ("GET", "/"): Route(Permission.CASELOAD, AuditAction.LISTED),
    ("GET", "/caseload/rows"): Route(Permission.CASELOAD, AuditAction.LISTED),
    ("GET", "/people/{user_id}"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("GET", "/people/{user_id}/scores.csv"): Route(Permission.EXPORT, AuditAction.EXPORTED),
    ("POST", "/people/{user_id}/marks"): Route(Permission.ACT, AuditAction.ACTED),
    ("POST", "/people/{user_id}/marks/remove"): Route(Permission.ACT, AuditAction.ACTED),
    ("GET", "/episodes/{dedup_key}"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("POST", "/episodes/{dedup_key}/actions"): Route(Permission.ACT, AuditAction.ACTED),
    ("GET", "/system"): Route(Permission.SYSTEM, COUNTS),
    ("GET", "/system/redrive"): Route(Permission.REDRIVE, COUNTS),
    ("POST", "/system/redrive"): Route(Permission.REDRIVE, AuditAction.ACTED),
    ("GET", "/try"): Route(Permission.UPLOAD, A_FORM),
    ("POST", "/try"): Route(Permission.UPLOAD, AuditAction.UPLOADED),
    ("GET", "/try/memos"): Route(Permission.UPLOAD, AuditAction.VIEWED),
    ("GET", "/try/progress"): Route(Permission.UPLOAD, PROGRESS),
    ("GET", "/try/plots/{name}"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("GET", "/erasures"): Route(Permission.ERASE, ERASURES),
    ("POST", "/erasures"): Route(Permission.ERASE, AuditAction.ERASED),
    ("POST", "/erasures/verify"): Route(Permission.ERASE, ERASURES),
    ("GET", "/erasures/{erasure_id}/certificate"): Route(Permission.ERASE, AuditAction.EXPORTED),
    # API
    ("GET", "/api/v1/people"): Route(Permission.CASELOAD, AuditAction.LISTED),
    ("GET", "/api/v1/people/{user_id}"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("GET", "/api/v1/people/{user_id}/scores"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("GET", "/api/v1/people/{user_id}/episodes"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("POST", "/api/v1/people/{user_id}/actions"): Route(Permission.ACT, AuditAction.ACTED),
    ("GET", "/api/v1/people/{user_id}/consent"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("POST", "/api/v1/people/{user_id}/consent"): Route(Permission.ACT, AuditAction.ACTED),
    ("GET", "/api/v1/episodes/{dedup_key}"): Route(Permission.PERSON, AuditAction.VIEWED),
    ("POST", "/api/v1/episodes/{dedup_key}/actions"): Route(Permission.ACT, AuditAction.ACTED),
    ("GET", "/api/v1/events"): Route(Permission.CASELOAD, AuditAction.LISTED),
    ("POST", "/api/v1/memos"): Route(Permission.UPLOAD, AuditAction.UPLOADED),
    ("GET", "/api/v1/memos/{memo_id}"): Route(Permission.UPLOAD, AuditAction.VIEWED),
    ("GET", "/api/v1/memos/{memo_id}/events"): Route(Permission.UPLOAD, AuditAction.VIEWED),
    ("GET", "/api/v1/system"): Route(Permission.SYSTEM, COUNTS),
    ("GET", "/api/v1/erasures"): Route(Permission.ERASE, ERASURES),
    ("POST", "/api/v1/erasures"): Route(Permission.ERASE, AuditAction.ERASED),
    ("POST", "/api/v1/erasures/verify"): Route(Permission.ERASE, ERASURES),
    ("GET", "/api/v1/erasures/{erasure_id}"): Route(Permission.ERASE, ERASURES),
    ("GET", "/api/v1/erasures/{erasure_id}/certificate"): Route(Permission.ERASE, AuditAction.EXPORTED),
    ("GET", "/fhir/metadata"): Route(Permission.PUBLIC, FOR_ANYBODY),
    ("GET", "/fhir/RiskAssessment"): Route(Permission.FHIR, AuditAction.EXPORTED),
}
"""What each route needs and leaves, by method and path template. A request that no row matches is answered 404."""


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
