"""Who runs a command: by a token of the identity provider, if there is one."""

from pathlib import Path

import pytest
from joserfc.jwk import KeySet

from schemas.errors import ConfigurationError, Transient
from schemas.event_enums import ActorProof
from schemas.settings import Settings
from streams.access.identity_provider import IdentityProvider
from streams.cli.privacy.token_actor import actor_by
from tests.unit.streams.access.test_tokens import ACCESS, AUDIENCE, ISSUER, KEYS, OTHER, signed


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A provider whose keys are known, and the token of somebody."""

    async def keys(_: IdentityProvider) -> KeySet:
        return KEYS

    monkeypatch.setattr(IdentityProvider, "_fetched_keys", keys)
    path = tmp_path / "token"
    path.write_text(f"{signed(ACCESS)}\n")
    return Settings(oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_token_file=path)


def test_whoever_has_a_token_is_its_subject(settings: Settings) -> None:
    actor = actor_by(settings)
    assert (actor.name, actor.proof) == ("ann", ActorProof.OIDC)
    assert "@" in actor.via, "user and machine stand beside it"


def test_without_a_token_it_is_who_the_machine_says(settings: Settings) -> None:
    assert actor_by(settings.model_copy(update={"oidc_token_file": None})).proof is ActorProof.OS_USER


@pytest.mark.parametrize(
    "token",
    [
        "",
        "no token",
        signed({**ACCESS, "exp": 1}),
        signed({**ACCESS, "aud": "https://other.example"}),
        signed(ACCESS, OTHER),
    ],
    ids=["empty", "none", "expired", "of another API", "signed by somebody else"],
)
def test_a_token_that_proves_nothing_names_no_one(settings: Settings, token: str) -> None:
    assert settings.oidc_token_file is not None
    settings.oidc_token_file.write_text(token)
    with pytest.raises(ConfigurationError, match="UNDERTONE_OIDC_TOKEN_FILE: the ") as refused:
        actor_by(settings)
    assert not token or token not in str(refused.value)


def test_a_file_that_is_missing_or_no_text_is_named(settings: Settings, tmp_path: Path) -> None:
    assert settings.oidc_token_file is not None
    settings.oidc_token_file.write_bytes(b"\xff\xfe")
    for path in (settings.oidc_token_file, tmp_path / "none"):
        with pytest.raises(ConfigurationError, match="UNDERTONE_OIDC_TOKEN_FILE cannot be read"):
            actor_by(settings.model_copy(update={"oidc_token_file": path}))


def test_a_token_without_its_issuer_is_no_proof(settings: Settings) -> None:
    for missing in ("oidc_issuer", "oidc_audience"):
        with pytest.raises(ConfigurationError, match="needs UNDERTONE_OIDC_ISSUER"):
            actor_by(settings.model_copy(update={missing: None}))


def test_a_provider_that_is_away_stops_the_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: IdentityProvider) -> KeySet:
        raise Transient("identity provider: does not answer")

    monkeypatch.setattr(IdentityProvider, "_fetched_keys", away)
    with pytest.raises(Transient, match="identity provider"):
        actor_by(settings)
