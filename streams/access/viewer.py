"""Who asks: the subject, roles and cohorts behind one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from starlette.exceptions import HTTPException
from starlette.requests import Request

from streams.access.roles import Permission, StaffRole, granted

__all__ = ["LOCAL", "Channel", "StaffRole", "Viewer", "cohorts_of", "optional_viewer", "viewer"]

LOCAL_SUBJECT = "local"
"""Actor of everything that is done in local mode, where no one signs in."""


class Channel(StrEnum):
    """How a request proved who asks."""

    LOCAL = "local"
    """By coming from this machine, in local mode."""
    SESSION = "session"
    """By the cookie of a session: a browser sends it by itself, so unsafe methods need a CSRF token too."""
    BEARER = "bearer"
    """By an access token in the header `Authorization`, which no browser adds by itself."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """One person or program that asks.

    subject: what the identity provider calls them, or `local`; cohorts: the cohorts whose people a clinician sees, None
    for all; csrf_token: what unsafe methods of this session must carry, empty where none is needed.
    """

    subject: str
    roles: frozenset[StaffRole]
    cohorts: tuple[str, ...] | None = ()
    channel: Channel = Channel.SESSION
    csrf_token: str = ""

    @property
    def local(self) -> bool:
        """Whether this is local mode: everything is allowed, from this machine only."""
        return self.channel is Channel.LOCAL

    @property
    def role(self) -> str:
        """The roles as an audit event names them, such as `clinician` or `clinician+operator`."""
        if self.local:
            return LOCAL_SUBJECT
        return "+".join(sorted(self.roles)) or "none"

    def sees(self, cohort: str) -> bool:
        """Whether people of this cohort may be shown to them at all."""
        return self.cohorts is None or cohort in self.cohorts

    def may(self, permission: Permission) -> bool:
        """Whether one of their roles has this permission."""
        return granted(permission, self.roles)


LOCAL = Viewer(LOCAL_SUBJECT, frozenset(StaffRole), cohorts=None, channel=Channel.LOCAL)
"""Who asks in local mode."""


def cohorts_of(roles: Iterable[StaffRole], claimed: Iterable[str]) -> tuple[str, ...] | None:
    """The cohorts that somebody sees. A clinician sees those of the token, `*` meaning all; others have no bounds.

    What a role without a clinician's permissions sees of people is bounded by the fields, not by the cohort.

    >>> cohorts_of([StaffRole.CLINICIAN], ["north", "south"]), cohorts_of([StaffRole.CLINICIAN], [])
    (('north', 'south'), ())
    >>> cohorts_of([StaffRole.OPERATOR], []) is None, cohorts_of([StaffRole.CLINICIAN], ["*"]) is None
    (True, True)
    """
    named = tuple(dict.fromkeys(claimed))
    if StaffRole.CLINICIAN not in set(roles) or "*" in named:
        return None
    return named


async def viewer(request: Request) -> Viewer:
    """Who asks, for a route. Raises HTTPException 401 where no one is signed in, on a public page."""
    found = optional_viewer(request)
    if found is None:
        raise HTTPException(401, "Sign in, or send a valid bearer token.")
    return found


def optional_viewer(request: Request) -> Viewer | None:
    """Who asks, None where no one is signed in: only public pages meet that."""
    found = request.scope.get("state", {}).get("viewer")
    return found if isinstance(found, Viewer) else None
