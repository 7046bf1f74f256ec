"""Settings of sealing."""

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings


def test_nothing_is_sealed_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERTONE_SEAL", raising=False)
    settings = Settings.load()
    assert (settings.seal, settings.kms, settings.key_directory_url, settings.seal_clear_topics) == (
        "off",
        None,
        None,
        (),
    )


def test_topics_are_a_list() -> None:
    assert Settings.load(seal_clear_topics="risk.alerts, care.actions").seal_clear_topics == (
        "risk.alerts",
        "care.actions",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seal", "perhaps"),
        ("kms", "gcp:key"),
        ("kms", "local:"),
        ("kms", "local"),
        ("key_cache_s", 0),
        ("seal_clear_topics", "risk.alert"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"UNDERTONE_{name.upper()}"):
        Settings.load(**{name: value})


def test_addresses_with_secrets_are_not_printed() -> None:
    shown = repr(Settings.load(kms="pkcs11:lib.so?pin=1234", key_directory_url="postgresql://u:hunter2@h/d"))
    assert "1234" not in shown
    assert "hunter2" not in shown
