"""Tokens that prove something, and every kind that does not."""

import base64
import hmac
import json
import time
from collections.abc import Mapping

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from streams.access.tokens import (
    ClaimNames,
    TokenRefused,
    UnknownKey,
    check_access_token,
    check_id_token,
    claimed,
    key_set,
    verified,
)
from streams.access.viewer import StaffRole

ISSUER, AUDIENCE, CLIENT, NONCE = "https://id.example", "https://api.example", "undertone", "n-1"
NAMES = ClaimNames("roles", "cohorts")
KEY = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
OTHER = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
KEYS = key_set({"keys": [KEY.as_dict(private=False)]})
NOW = int(time.time())
ACCESS: Mapping[str, object] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": NOW, "exp": NOW + 3600}
IDENTITY: Mapping[str, object] = {**ACCESS, "aud": CLIENT, "nonce": NONCE}
ANY_ALGORITHM = JWSRegistry(algorithms=["none", "HS256", "RS256", "ES256"])


def signed(
    claims: Mapping[str, object],
    key: RSAKey | ECKey = KEY,
    algorithm: str = "RS256",
    kid: str | None = None,
    **more: str,
) -> str:
    """A token by any key and algorithm, under any key's id."""
    header = {"alg": algorithm, "kid": kid or KEY.kid, **more}
    return jwt.encode(header, dict(claims), key, registry=ANY_ALGORITHM)


def accepts(token: str) -> None:
    check_access_token(verified(token, KEYS), ISSUER, AUDIENCE)


def test_a_token_of_the_provider_for_this_api() -> None:
    accepts(signed(ACCESS))
    accepts(signed({**ACCESS, "aud": ["other", AUDIENCE]}))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"aud": "other"},
        {"aud": []},
        {"exp": NOW - 120},
        {"exp": "tomorrow"},
        {"nbf": NOW + 600},
        {"iat": NOW + 600},
        {"iss": None},
        {"aud": None},
        {"exp": None},
        {"sub": None},
        {"nonce": "n"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_api_or_moment(change: dict[str, object]) -> None:
    claims = {name: value for name, value in {**ACCESS, **change}.items() if value is not None}
    with pytest.raises(TokenRefused):
        accepts(signed(claims))


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+jwt"])
def test_an_access_token_may_say_that_it_is_one(kind: str) -> None:
    accepts(signed(ACCESS, typ=kind))


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", ""])
def test_a_token_for_another_use_opens_nothing(kind: str) -> None:
    with pytest.raises(TokenRefused):
        accepts(signed(ACCESS, typ=kind))


def test_clocks_may_differ_by_less_than_a_minute() -> None:
    now = int(time.time())
    accepts(signed({**ACCESS, "exp": now - 30, "nbf": now + 30}))


def encoded(*parts: bytes) -> str:
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def unsigned(header: Mapping[str, object]) -> str:
    return encoded(json.dumps(header).encode(), json.dumps(ACCESS).encode(), b"")


def signed_with_public_key(secret: bytes) -> str:
    """What an attacker knows of the provider: its public key, used as if it were a secret."""
    text = encoded(json.dumps({"alg": "HS256", "kid": KEY.kid}).encode(), json.dumps(ACCESS).encode())
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


@pytest.mark.parametrize(
    "token",
    [
        unsigned({"alg": "none"}),
        unsigned({"alg": "none", "kid": KEY.kid}),
        unsigned({"alg": "NONE", "kid": KEY.kid}),
        unsigned({"kid": KEY.kid}),
        unsigned({"alg": "RS256", "kid": KEY.kid}),
        unsigned({"alg": "RS256", "kid": KEY.kid, "crit": ["x"], "x": 1}),
        signed(ACCESS, OTHER),
        signed_with_public_key(KEY.as_pem(private=False)),
        signed_with_public_key(json.dumps(KEY.as_dict(private=False)).encode()),
        signed(ACCESS, ECKey.generate_key("P-256"), "ES256"),
        signed(ACCESS)[:-4] + "AAAA",
        signed(ACCESS).rpartition(".")[0],
        "",
        "a.b.c",
        "é.é.é",
        "a" * 20_000,
        "....",
    ],
    ids=lambda token: str(token)[:12],
)
def test_a_token_that_the_provider_did_not_sign(token: str) -> None:
    with pytest.raises(TokenRefused):
        accepts(token)


def test_a_key_in_the_token_itself_is_not_trusted() -> None:
    header = {"alg": "RS256", "kid": KEY.kid, "jwk": OTHER.as_dict(private=False)}
    with pytest.raises(TokenRefused):
        accepts(jwt.encode(header, dict(ACCESS), OTHER, registry=ANY_ALGORITHM))


def test_a_key_that_is_not_known_yet_is_told_apart() -> None:
    token = signed(ACCESS, OTHER, kid=OTHER.kid)
    with pytest.raises(UnknownKey):
        accepts(token)
    both = key_set({"keys": [KEY.as_dict(private=False), OTHER.as_dict(private=False)]})
    check_access_token(verified(token, both), ISSUER, AUDIENCE)


def test_secrets_and_keys_for_encryption_sign_nothing() -> None:
    document = {
        "keys": [
            OctKey.generate_key(256).as_dict(private=True),
            OTHER.as_dict(private=False) | {"use": "enc"},
            KEY.as_dict(private=False),
            "no key",
        ]
    }
    assert [key.kid for key in key_set(document)] == [KEY.kid]
    assert isinstance(key_set({}), KeySet)
    with pytest.raises(TokenRefused):
        key_set({"keys": [{"kty": "RSA", "n": "?"}]})


def test_an_id_token_of_this_sign_in() -> None:
    check_id_token(verified(signed(IDENTITY), KEYS), ISSUER, CLIENT, NONCE, None)
    check_id_token(
        verified(signed({**IDENTITY, "aud": [CLIENT, "x"], "azp": CLIENT}), KEYS), ISSUER, CLIENT, NONCE, None
    )


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "n-2"},
        {"nonce": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"azp": "other"},
        {"aud": [CLIENT, "x"], "azp": "x"},
        {"iss": "https://evil.example"},
        {"exp": NOW - 120},
        {"iat": None},
        {"at_hash": "wrong"},
    ],
    ids=str,
)
def test_an_id_token_of_another_sign_in(change: dict[str, object]) -> None:
    claims = {name: value for name, value in {**IDENTITY, **change}.items() if value is not None}
    with pytest.raises(TokenRefused):
        check_id_token(verified(signed(claims), KEYS), ISSUER, CLIENT, NONCE, "access token")


def test_roles_and_cohorts_of_claims() -> None:
    said = claimed({"sub": "ann", "roles": ["Undertone-Clinician", "admin", 7], "cohorts": "north, south"}, NAMES)
    assert said.subject == "ann"
    assert said.roles == {StaffRole.CLINICIAN}
    assert said.cohorts == ("north", "south")
    nested = claimed({"sub": "ann", "realm_access": {"roles": ["auditor"]}}, ClaimNames("realm_access.roles", "none"))
    assert nested.roles == {StaffRole.AUDITOR}
    assert nested.cohorts == ()


@pytest.mark.parametrize("roles", [None, [], "", 7, {"clinician": True}, ["clinicians", "clinician "], "root"])
def test_claims_without_a_known_role_give_none(roles: object) -> None:
    assert claimed({"sub": "ann", "roles": roles}, NAMES).roles == frozenset()


@pytest.mark.parametrize("subject", [None, "", 7, "a\nb", "a" * 256, "é", " a", "<b>\x00"])
def test_a_subject_that_no_audit_event_can_hold(subject: object) -> None:
    with pytest.raises(TokenRefused):
        claimed({"sub": subject}, NAMES)
