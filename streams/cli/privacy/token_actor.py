"""Who runs a command, by an access token of the identity provider."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from schemas.settings import Settings
    from streams.audit.command_events import Actor


def actor_by(settings: "Settings") -> "Actor":
    """The subject of the token in UNDERTONE_OIDC_TOKEN_FILE; without the file who Kafka or this machine says it is.

    Raises ConfigurationError for a token that proves nothing, Transient while the identity provider does not answer.
    """
    from schemas.event_enums import ActorProof
    from streams.audit.command_events import actor_of

    actor = actor_of(settings)
    if settings.oidc_token_file is None:
        return actor
    return replace(actor, name=asyncio.run(_subject(settings)), proof=ActorProof.OIDC)


async def _subject(settings: "Settings") -> str:
    """Who the token is about, which the provider's keys must have signed for this API."""
    audience = settings.oidc_audience or settings.oidc_client_id
    if settings.oidc_issuer is None or not audience:
        raise ConfigurationError(
            "UNDERTONE_OIDC_TOKEN_FILE needs UNDERTONE_OIDC_ISSUER, and UNDERTONE_OIDC_AUDIENCE or "
            "UNDERTONE_OIDC_CLIENT_ID"
        )
    try:
        from streams.access.identity_provider import Client, IdentityProvider
        from streams.access.tokens import ClaimNames, TokenRefused, claimed
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "UNDERTONE_OIDC_TOKEN_FILE: its packages are missing: `pip install 'undertone-voice[dashboard]'`"
        ) from error
    client = Client(settings.oidc_issuer, settings.oidc_client_id or "", None, audience)
    try:
        return claimed(await IdentityProvider(client).access_claims(_token(settings)), ClaimNames("", "")).subject
    except TokenRefused as error:
        raise ConfigurationError(f"UNDERTONE_OIDC_TOKEN_FILE: {error}; get a new token") from None


def _token(settings: "Settings") -> str:
    """What the file holds, read again for every command."""
    path = settings.oidc_token_file
    try:
        return "" if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            "UNDERTONE_OIDC_TOKEN_FILE cannot be read: it names a file with an access token"
        ) from None
