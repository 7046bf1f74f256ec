"""Secrets and addresses of a webhook; requests are tested with a real receiver."""

import base64
import json
from dataclasses import replace

import pytest

from schemas.errors import ConfigurationError
from schemas.events import AlertEvidence, AlertState, Band, ScorePoint
from schemas.settings import Settings
from streams.notify.webhook import Webhook, body_of, secret_bytes
from tests.unit.streams.alerts import alert

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


def test_the_body_is_the_record_with_its_reasons_and_a_link_to_the_episode() -> None:
    step = alert(AlertState.RAISED)
    markers = (AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.4),)
    told = replace(
        step, evidence=markers, scores=(ScorePoint(step.at, 0.7, Band.HIGH),), summary='a "sentence"\nwith <b> in it'
    )
    body = json.loads(body_of(told, "https://undertone.example"))
    assert body["episode_url"] == f"https://undertone.example/episodes/{step.dedup_key}"
    assert body["summary"] == told.summary
    assert (body["evidence"][0]["name"], body["evidence"][0]["usual"]) == ("pause_share", 0.22)
    assert body["scores"] == [{"recorded_at": "2026-05-01T08:00:00.000Z", "probability": 0.7, "band": "high"}]
    assert "episode_url" not in json.loads(body_of(told, None))
