"""Who may open the dashboard: the identity provider, sessions, and what claims say. Part of the settings."""

from typing import Annotated

from pydantic import BaseModel, SecretStr, field_validator

from schemas.connection_settings import is_url
from schemas.setting_types import File, Positive, Role


class SignIn(BaseModel, frozen=True, defer_build=True):
    """Sign-in to the dashboard by OpenID Connect. Without an issuer the dashboard is for this machine only."""

    oidc_issuer: Annotated[str | None, Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Issuer of the identity provider, exactly as it names itself, such as `https://id.example/realms/clinic`. Without
    it there is no sign-in, and the dashboard listens on the loopback interface only."""
    oidc_client_id: Annotated[str | None, Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Id under which the provider knows the dashboard. Register `UNDERTONE_DASHBOARD_URL` with `/signin/callback` as
    redirect address and with `/signedout` as address after sign-out."""
    oidc_client_secret: Annotated[SecretStr | None, Role.DASHBOARD] = None
    """Secret of a confidential client; a public one has none. PKCE is used either way."""
    oidc_audience: Annotated[str | None, Role.DASHBOARD | Role.COMMAND_LINE] = None
    """Audience that access tokens for the API must name. Default: `UNDERTONE_OIDC_CLIENT_ID`."""
    oidc_token_file: Annotated[File | None, Role.COMMAND_LINE] = None
    """File with an access token for that audience, of whoever runs commands: the audit trail then names its subject,
    which the provider's keys prove, and not the user of Kafka or of the machine. Read again for every command."""
    oidc_scope: Annotated[str, Role.DASHBOARD] = "openid profile"
    """Scopes that are asked for at sign-in: `openid`, and those under which the provider gives roles and cohorts."""
    oidc_roles_claim: Annotated[str, Role.DASHBOARD] = "roles"
    """Claim with roles: `clinician`, `operator`, `auditor`, each also with `undertone-` in front. A dot goes into an
    object: `realm_access.roles`."""
    oidc_cohorts_claim: Annotated[str, Role.DASHBOARD] = "cohorts"
    """Claim with the cohorts whose people a clinician sees; `*` means all. Without it a clinician sees none."""
    session_idle_s: Annotated[Positive, Role.DASHBOARD] = 1800.0
    """A session that is not used for this many seconds ends. What an open page asks for by itself is no use of it."""
    session_max_s: Annotated[Positive, Role.DASHBOARD] = 12 * 3600.0
    """A session ends after this many seconds, used or not. Roles and cohorts are those of the sign-in."""

    @field_validator("oidc_issuer")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not is_url(value, "http", "https"):
            raise ValueError("is not https://host[:port][/path]")
        return value

    @field_validator("oidc_scope")
    @classmethod
    def _openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must contain openid")
        return value
