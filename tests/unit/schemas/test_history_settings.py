import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings


def test_cohorts_are_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_COHORTS", "ward=a-, clinic = b-")
    settings = Settings.load()
    assert settings.cohorts == ("ward=a-", "clinic = b-")
    assert settings.child_environment()["UNDERTONE_COHORTS"] == "ward=a-,clinic = b-"


@pytest.mark.parametrize("text", ["ward", "=a-", "ward=", "ward=a-,other=a-"])
def test_what_is_no_pair_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("UNDERTONE_COHORTS", text)
    with pytest.raises(ConfigurationError, match="UNDERTONE_COHORTS"):
        Settings.load()


def test_the_address_of_the_database_is_not_printed() -> None:
    assert "hunter2" not in repr(Settings(database_url="postgresql://u:hunter2@db/x"))
