"""Verification of JSON Web Tokens: signature, issuer, audience, times; then who they are about. Pure.

Sources: RFC 8725 (best current practices), RFC 9068 (access tokens), OpenID Connect Core 1.0 section 3.1.3.7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry

from streams.access.viewer import StaffRole

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures with a public key. Neither `none` nor an HMAC, whose key would be a public one that anybody has."""
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
ACCESS_TYPES = frozenset({"jwt", "at+jwt"})
"""What the header of an access token calls it, if anything. Others, such as `logout+jwt`, are for other uses."""
SKEW_S = 60
"""Difference of clocks that is allowed for, in seconds."""
TOKEN_BYTES = 16 * 1024
"""Longest token that is read."""
SUBJECT_BYTES = 255
"""Longest subject: ASCII, as OpenID Connect Core says."""
ROLE_PREFIX = "undertone-"
"""May precede a role in a claim that other applications share."""


class TokenRefused(Exception):
    """A token proves nothing; the message says why and holds none of it."""


class UnknownKey(TokenRefused):
    """No key of the set signed it: the set may be older than the key."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says about a person or a program. roles and cohorts: as they stand in the claims."""

    subject: str
    roles: frozenset[StaffRole]
    cohorts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims say roles and cohorts; a dot goes into an object, as in `realm_access.roles`."""

    roles: str
    cohorts: str


def key_set(document: Mapping[str, Any]) -> KeySet:
    """The public keys for signatures in a JWKS document; keys of other kinds are left out. Raises TokenRefused."""
    keys = document.get("keys")
    usable = [
        each
        for each in (keys if isinstance(keys, list) else [])
        if isinstance(each, dict) and each.get("kty") in KEY_TYPES and each.get("use", "sig") == "sig"
    ]
    try:
        return KeySet([JWKRegistry.import_key({n: v for n, v in each.items() if n != "d"}) for each in usable])
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenRefused("the identity provider's keys cannot be read") from error


def verified(token: str, keys: KeySet) -> jwt.Token:
    """The token, its signature made by one of the keys. Raises TokenRefused; UnknownKey if no key has its id."""
    if len(token) > TOKEN_BYTES or not token.isascii():
        raise TokenRefused("the token is too long or no token")
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = TOKEN_BYTES
    try:
        return jwt.decode(token, keys, registry=registry)
    except InvalidKeyIdError as error:
        raise UnknownKey("the token is signed with a key that the identity provider does not publish") from error
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenRefused("the token is not signed by the identity provider") from error


def check_id_token(token: jwt.Token, issuer: str, client_id: str, nonce: str, access_token: str | None) -> None:
    """Raises TokenRefused unless an ID token is of this issuer, client, sign-in and moment."""
    options = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "values": [client_id]},
        "sub": {"essential": True},
        "nonce": {"essential": True, "value": nonce},
    }
    known = {"nonce": nonce, "client_id": client_id, **({"access_token": access_token} if access_token else {})}
    try:
        CodeIDToken(token.claims, token.header, options, known).validate(leeway=SKEW_S)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused(f"the ID token is not for this sign-in: {_reason(error)}") from error


def check_access_token(token: jwt.Token, issuer: str, audience: str) -> None:
    """Raises TokenRefused unless an access token is of this issuer, for this API and of this moment."""
    if token.header.get("typ", "jwt").lower().removeprefix("application/") not in ACCESS_TYPES:
        raise TokenRefused("the token is of another kind: send an access token")
    rules = jwt.JWTClaimsRegistry(
        leeway=SKEW_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "values": [audience]},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        rules.validate(token.claims)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused(f"the access token is not for this API: {_reason(error)}") from error
    # An ID token says who signed in somewhere, not that its bearer may call this API.
    if "nonce" in token.claims or "at_hash" in token.claims:
        raise TokenRefused("the token is an ID token: send an access token")


def claimed(claims: Mapping[str, Any], names: ClaimNames) -> Claimed:
    """What the claims say. Raises TokenRefused for a subject that cannot be written into an audit event."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_BYTES or not _visible(subject):
        raise TokenRefused("the token's subject is not 1 to 255 visible ASCII characters")
    named = {name.lower().removeprefix(ROLE_PREFIX) for name in texts(claims, names.roles)}
    roles = frozenset(role for role in StaffRole if role.value in named)
    return Claimed(subject, roles, tuple(texts(claims, names.cohorts)))


def texts(claims: Mapping[str, Any], path: str) -> Sequence[str]:
    """The texts of a claim: of an array, or of one text with commas or spaces between them.

    >>> texts({"realm_access": {"roles": ["a", 1]}}, "realm_access.roles"), texts({"roles": "a, b"}, "roles")
    (['a'], ['a', 'b'])
    """
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and text.strip() == text


def _reason(error: Exception) -> str:
    """Name of the error's class without its message, which holds values of the token."""
    claim = getattr(error, "claim", None)
    return f"{type(error).__name__}{f' ({claim})' if claim else ''}"
