"""Settings of the audit trail."""

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings


def test_a_short_key_is_refused_and_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_AUDIT_KEY", "guessable")
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_AUDIT_KEY.*32") as refused:
        Settings.load()
    assert "guessable" not in str(refused.value)


def test_a_long_key_is_taken_and_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_AUDIT_KEY", "k" * 32)
    assert "k" * 32 not in repr(Settings.load())
