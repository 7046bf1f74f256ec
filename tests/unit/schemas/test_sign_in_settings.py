"""Settings of sign-in."""

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings


def test_without_an_issuer_there_is_no_sign_in() -> None:
    settings = Settings()
    assert settings.oidc_issuer is None
    assert (settings.oidc_roles_claim, settings.oidc_cohorts_claim) == ("roles", "cohorts")


@pytest.mark.parametrize("address", ["id.example", "ftp://id.example", "https://", "javascript:alert(1)"])
def test_an_issuer_is_an_address_of_the_web(address: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_OIDC_ISSUER"):
        Settings.load(oidc_issuer=address)


def test_the_scope_makes_it_a_sign_in() -> None:
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_OIDC_SCOPE: .*must contain openid"):
        Settings.load(oidc_scope="profile")


def test_a_printed_secret_is_not_shown() -> None:
    assert "hush" not in repr(Settings(oidc_client_secret="hush"))
