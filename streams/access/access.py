"""What sign-in, sessions, limits and audit events need, made once from the settings of a process."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.access import sessions
from streams.access.audit import AuditTrail
from streams.access.headers import Policies
from streams.access.identity_provider import Client, IdentityProvider
from streams.access.origins import SAFE, Site
from streams.access.rate_limits import Rate, RateLimit
from streams.access.sessions import Lifetimes
from streams.access.tokens import ClaimNames, TokenRefused, claimed
from streams.access.viewer import LOCAL, Channel, Viewer, cohorts_of
from streams.history.database import Database
from workers.service import prometheus

ADDRESS_RATE = Rate(per_s=300.0, burst=2000.0)
"""Of one address: many people of a clinic may share one, and pages load several files."""
SUBJECT_RATE = Rate(per_s=50.0, burst=400.0)
"""Of one person or program."""
SIGN_IN_RATE = Rate(per_s=1.0, burst=60.0)
"""Sign-ins of one address."""


@dataclass(frozen=True, slots=True)
class Staff:
    """Where staff sign in, and how their sessions last."""

    provider: IdentityProvider
    database: Database
    lifetimes: Lifetimes
    claim_names: ClaimNames

    @classmethod
    def of(cls, settings: Settings, database: Database) -> Self:
        """By the settings."""
        lifetimes = Lifetimes(timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_max_s))
        names = ClaimNames(settings.oidc_roles_claim, settings.oidc_cohorts_claim)
        return cls(IdentityProvider(client_of(settings)), database, lifetimes, names)

    def viewer_from(self, claims: Mapping[str, object], channel: Channel) -> Viewer:
        """Who the claims of a token are about. Raises TokenRefused."""
        said = claimed(claims, self.claim_names)
        return Viewer(said.subject, said.roles, cohorts_of(said.roles, said.cohorts), channel)

    async def by_token(self, authorization: str) -> Viewer:
        """Who sends this header. Raises HTTPException 401 for a token that proves nothing, and Transient."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _invalid_token("the header `Authorization` is not `Bearer` with an access token")
        try:
            return self.viewer_from(await self.provider.access_claims(token.strip()), Channel.BEARER)
        except TokenRefused as error:
            raise _invalid_token(str(error)) from None

    async def by_session(self, session_id: str, used: bool) -> Viewer | None:
        """Whose session it is, None if it is over. Raises Transient while the database does not answer.

        used: the session lasts longer for it.
        """
        now = datetime.now(UTC)
        found = await self.database.read(sessions.find, session_id, now, self.lifetimes)
        if found is None:
            return None
        if used and found.unseen:
            await self.database.write(sessions.touch, session_id, now)
        return found.viewer(session_id)


@dataclass(slots=True)
class Access:
    """One for each process. staff: None in local mode."""

    site: Site
    trail: AuditTrail
    policies: Policies
    staff: Staff | None = None
    addresses: RateLimit = field(default_factory=lambda: RateLimit(ADDRESS_RATE))
    subjects: RateLimit = field(default_factory=lambda: RateLimit(SUBJECT_RATE))
    sign_ins: RateLimit = field(default_factory=lambda: RateLimit(SIGN_IN_RATE))

    @classmethod
    def of(cls, settings: Settings, trail: AuditTrail, database: Database | None) -> Self:
        """By the settings; local mode needs no database. Raises ConfigurationError for settings that let anybody in."""
        check_settings(settings)
        connects = [] if settings.names_url is None else [_origin(settings.names_url)]
        if settings.oidc_issuer is None:
            return cls(Site(), trail, Policies.of(Site(), connects))
        if database is None:
            raise ConfigurationError("UNDERTONE_OIDC_ISSUER needs a database for the sessions of staff")
        site = Site.of(settings.dashboard_url)
        policies = Policies.of(site, connects, [_origin(settings.oidc_issuer)])
        return cls(site, trail, policies, Staff.of(settings, database))

    @property
    def session_cookie(self) -> str:
        """Name of the cookie of a session."""
        return self.cookie("session")

    def cookie(self, purpose: str) -> str:
        """Name of a cookie. With `__Host-` a browser takes it only by https and from this very host."""
        return f"{'__Host-' if self.site.secure else ''}undertone-{purpose}"

    async def viewer_of(self, request: Request) -> Viewer | None:
        """Who asks: local mode, else by the access token if one is sent, else by the session; None for no one.

        Raises HTTPException 401 for a token that proves nothing, Transient while provider or database do not answer.
        """
        if self.staff is None:
            return LOCAL
        if (authorization := request.headers.get("authorization")) is not None:
            return await self.staff.by_token(authorization)
        session_id = request.cookies.get(self.session_cookie)
        return await self.staff.by_session(session_id, _uses(request)) if session_id else None


def _uses(request: Request) -> bool:
    """Whether somebody sits before the browser; an open page asks for live events and rows by itself, for ever.

    A request without `Sec-Fetch-Dest` is of an older browser, or of one that reaches the dashboard without https.
    """
    return request.method not in SAFE or request.headers.get("sec-fetch-dest", "document") == "document"


def _invalid_token(why: str) -> HTTPException:
    """The error of RFC 6750. why: a sentence in lower case that holds nothing of the token."""
    prometheus.REQUESTS_REFUSED.labels(reason="token").inc()
    return HTTPException(401, f"{why[:1].upper()}{why[1:]}.", {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def check_settings(settings: Settings) -> None:
    """Raises ConfigurationError unless the dashboard is for this machine only, or asks who is there."""
    if settings.oidc_issuer is None:
        if not is_loopback(settings.dashboard_host):
            raise ConfigurationError(
                f"UNDERTONE_DASHBOARD_HOST={settings.dashboard_host}: without sign-in the dashboard listens on the "
                "loopback interface only: set it to 127.0.0.1, or set UNDERTONE_OIDC_ISSUER and its client"
            )
        return
    if not settings.oidc_client_id or not settings.dashboard_url:
        raise ConfigurationError(
            "UNDERTONE_OIDC_ISSUER needs UNDERTONE_OIDC_CLIENT_ID and UNDERTONE_DASHBOARD_URL, the dashboard's public "
            "address, to which the identity provider returns"
        )
    for variable, url in (
        ("UNDERTONE_OIDC_ISSUER", settings.oidc_issuer),
        ("UNDERTONE_DASHBOARD_URL", settings.dashboard_url),
    ):
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ConfigurationError(f"{variable} is not an https address: passwords and sessions would be readable")


def client_of(settings: Settings) -> Client:
    """How this dashboard is registered with the provider."""
    secret = settings.oidc_client_secret
    return Client(
        issuer=settings.oidc_issuer or "",
        client_id=settings.oidc_client_id or "",
        client_secret=None if secret is None else secret.get_secret_value(),
        audience=settings.oidc_audience or settings.oidc_client_id or "",
        scope=settings.oidc_scope,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on a host.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
