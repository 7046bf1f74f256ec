"""Settings of the dashboard."""

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings


def test_names_are_asked_of_nobody_unless_it_is_set() -> None:
    assert Settings().names_url is None
    assert Settings(names_url="https://names.example/lookup").names_url == "https://names.example/lookup"


@pytest.mark.parametrize(
    "address",
    ["names.example", "javascript:alert(1)", "https://", "https://a.example; script-src *", "https://u:p@a.example"],
)
def test_an_address_that_would_change_the_policy_of_pages_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_NAMES_URL"):
        Settings.load(names_url=address)
