"""The OpenID Connect provider: where staff sign in, and whose keys sign tokens. Authlib speaks the protocol.

Source: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0; RFC 7636 (PKCE).
"""

import asyncio
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import httpx
from authlib.deprecate import AuthlibDeprecationWarning
from joserfc import jwt
from joserfc.jwk import KeySet

from schemas.connection_errors import address_of, why_unreachable
from schemas.errors import Transient
from streams.access import tokens
from streams.access.tokens import TokenRefused, UnknownKey

# Authlib prefers httpx2, says so on every start, and works with httpx, which the project has.
warnings.filterwarnings("ignore", "The httpx module is deprecated", AuthlibDeprecationWarning)
from authlib.integrations.base_client import OAuthError  # noqa: E402
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App  # noqa: E402

TIMEOUT_S = 10.0
KEYS_S = 300.0
"""Keys are fetched again after this many seconds, so one that the provider withdraws is not trusted for longer."""
KEYS_AGAIN_S = 10.0
"""And for a token with an unknown key, but not more often than this: anybody can send such a token. A provider that
did not answer is left alone for as long."""
METADATA_S = 3600.0
SCOPE = "openid profile"


@dataclass(frozen=True, slots=True)
class Client:
    """How Undertone is registered with the provider. audience: of access tokens for the API."""

    issuer: str
    client_id: str
    client_secret: str | None
    audience: str
    scope: str = SCOPE


@dataclass(frozen=True, slots=True)
class Authorization:
    """One sign-in that starts. url: of the provider, to which the browser goes; the others are checked afterwards."""

    url: str
    state: str
    nonce: str
    code_verifier: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who came back from the provider. id_token: as it was given, for sign-out."""

    claims: dict[str, Any]
    id_token: str


@dataclass(slots=True)
class IdentityProvider:
    """The provider of one issuer. Metadata and keys are fetched when they are first needed, and again later."""

    client: Client
    _app: StarletteOAuth2App = field(init=False)
    _keys: KeySet | None = None
    _keys_at_s: float = 0.0
    _absent: str | None = None
    """Why keys could not be fetched, as of `_absent_at_s`."""
    _absent_at_s: float = 0.0
    _metadata_at_s: float = 0.0
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._app = OAuth().register(
            "undertone",
            client_id=self.client.client_id,
            client_secret=self.client.client_secret,
            server_metadata_url=f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": self.client.scope,
                "code_challenge_method": "S256",
                "timeout": TIMEOUT_S,
                "follow_redirects": False,
                **({} if self.client.client_secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    async def authorization(self, redirect_uri: str) -> Authorization:
        """Start a sign-in. Raises Transient while the provider does not answer."""
        await self._metadata()
        made = await self._app.create_authorization_url(redirect_uri)
        return Authorization(made["url"], made["state"], made["nonce"], made["code_verifier"])

    async def signed_in(self, code: str, redirect_uri: str, started: Authorization) -> SignedIn:
        """Who the code is about. Raises TokenRefused, and Transient while the provider does not answer."""
        await self._metadata()
        try:
            given = await self._app.fetch_access_token(
                code=code, redirect_uri=redirect_uri, code_verifier=started.code_verifier
            )
        except OAuthError as error:
            raise TokenRefused("the identity provider did not accept the sign-in: start again") from error
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(error) from error
        id_token, access_token = given.get("id_token"), given.get("access_token")
        if not isinstance(id_token, str):
            raise TokenRefused("the identity provider gave no ID token")
        verified = await self._verified(id_token)
        tokens.check_id_token(verified, self.client.issuer, self.client.client_id, started.nonce, access_token)
        return SignedIn(verified.claims | await self._user_info(given, verified.claims), id_token)

    async def access_claims(self, token: str) -> dict[str, Any]:
        """The claims of a bearer's access token. Raises TokenRefused, and Transient."""
        verified = await self._verified(token)
        tokens.check_access_token(verified, self.client.issuer, self.client.audience)
        return dict(verified.claims)

    async def sign_out_url(self, id_token: str, return_to: str) -> str | None:
        """Where the browser ends its session with the provider, None if the provider has no such page."""
        metadata = await self._metadata()
        if "end_session_endpoint" not in metadata:
            return None
        made = await self._app.create_logout_url(return_to, id_token or None, client_id=self.client.client_id)
        return str(made["url"])

    async def _user_info(self, given: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        """What the provider says about the subject besides the ID token; nothing if it says nothing, or of another."""
        if "userinfo_endpoint" not in self._app.server_metadata or not given.get("access_token"):
            return {}
        try:
            found = dict(await self._app.userinfo(token=given))
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(error) from error
        if found.get("sub") != claims.get("sub"):
            raise TokenRefused("the identity provider answered about another subject")
        return {name: value for name, value in found.items() if name not in claims}

    async def _verified(self, token: str) -> jwt.Token:
        try:
            return tokens.verified(token, await self._current_keys(KEYS_S))
        except UnknownKey:
            return tokens.verified(token, await self._current_keys(KEYS_AGAIN_S))

    async def _current_keys(self, oldest_s: float) -> KeySet:
        """The provider's keys, fetched again if they are older; those that are not wait for no fetch."""
        if (known := self._keys_since(oldest_s)) is not None:
            return known
        async with self._fetching:
            if (known := self._keys_since(oldest_s)) is not None:
                return known
            if self._absent is not None and time.monotonic() - self._absent_at_s < KEYS_AGAIN_S:
                raise Transient(self._absent)
            try:
                self._keys = await self._fetched_keys()
            except Transient as error:
                self._absent, self._absent_at_s = str(error), time.monotonic()
                raise
            self._keys_at_s = time.monotonic()
            return self._keys

    def _keys_since(self, oldest_s: float) -> KeySet | None:
        return self._keys if time.monotonic() - self._keys_at_s <= oldest_s else None

    async def _fetched_keys(self) -> KeySet:
        await self._metadata_locked()
        try:
            return tokens.key_set(await self._app.fetch_jwk_set(force=True))
        except (httpx.HTTPError, ValueError, RuntimeError) as error:
            raise self._away(error) from error

    async def _metadata(self) -> dict[str, Any]:
        async with self._fetching:
            return await self._metadata_locked()

    async def _metadata_locked(self) -> dict[str, Any]:
        """What discovery says, of this very issuer. Raises Transient."""
        if time.monotonic() - self._metadata_at_s > METADATA_S or "issuer" not in self._app.server_metadata:
            self._app.server_metadata.clear()
            try:
                await self._app.load_server_metadata()
            except (httpx.HTTPError, ValueError) as error:
                raise self._away(error) from error
            self._metadata_at_s = time.monotonic()
        metadata: dict[str, Any] = self._app.server_metadata
        if metadata.get("issuer") != self.client.issuer:
            metadata.clear()
            raise Transient("UNDERTONE_OIDC_ISSUER is not the issuer that the identity provider names in its metadata")
        return metadata

    def _away(self, error: Exception) -> Transient:
        why = why_unreachable(error) if isinstance(error, httpx.HTTPError) else "it answers what is no metadata"
        return Transient(f"UNDERTONE_OIDC_ISSUER={address_of(self.client.issuer)}: identity provider: {why}")
