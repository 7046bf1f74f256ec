"""Secrets and addresses of a webhook; requests are tested with a real receiver."""

import base64

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.notify.webhook import Webhook, secret_bytes

KEY = bytes(range(32))


def test_a_secret_is_base64_after_its_prefix_and_the_bytes_of_any_other_text() -> None:
    assert secret_bytes("whsec_" + base64.b64encode(KEY).decode()) == KEY
    assert secret_bytes("a sentence of enough bytes") == b"a sentence of enough bytes"


@pytest.mark.parametrize("secret", [None, "", "short", "whsec_*", "whsec_" + base64.b64encode(KEY[:16]).decode()])
def test_an_unusable_secret_is_rejected_without_being_shown(secret: str | None) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_WEBHOOK_SECRET") as refused:
        secret_bytes(secret)
    assert not secret or len(secret) < 2 or f"{secret}" not in str(refused.value)


@pytest.mark.parametrize("url", [None, "", "alerts.example", "ftp://alerts.example/", "https://"])
def test_an_invalid_url_is_rejected(url: str | None) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_WEBHOOK_URL"):
        Webhook(Settings.load(webhook_url=url, webhook_secret="a sentence of enough bytes"))


def test_printed_settings_do_not_show_the_secret() -> None:
    assert "s3cret" not in repr(Settings.load(webhook_url="https://x.example", webhook_secret="s3cret" * 5))
