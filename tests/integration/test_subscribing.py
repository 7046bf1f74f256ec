"""What `docs/subscribing.md` shows: the subscriber runs, signatures and tables are those of the code."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas import topics
from schemas.events import AlertEvidence, Band, ScorePoint
from schemas.json_records import to_json, to_plain
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.notify.alertmanager_payload import Episode, as_posted
from streams.notify.http_client import REFUSALS
from streams.notify.webhook import body_of, signature
from tests.bridging import publish
from tests.pages import block
from tests.unit.streams.alerts import START, episode_of

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "subscribing.md").read_text()
SCHEMA = json.loads((ROOT / "schemas" / "avro" / "risk_alert.avsc").read_text())
FIELDS = {field["name"] for field in SCHEMA["fields"]}


def code(language: str) -> str:
    """The one block of a language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_python_subscriber_prints_every_alert_once_and_commits(tmp_path: Path) -> None:
    alerts = episode_of()
    script = tmp_path / "subscriber.py"
    script.write_text(block("docs/subscribing.md", "subscriber"))
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        settings = Settings.load(kafka_bootstrap=kafka.bootstrap)
        asyncio.run(publish(settings, *alerts, *alerts))
        environment = {**os.environ, "KAFKA_BOOTSTRAP": kafka.bootstrap}
        with subprocess.Popen([sys.executable, script], env=environment, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            came = [json.loads(process.stdout.readline()) for _ in alerts]
            process.kill()
            rest = process.stdout.read()
    assert [one["alert_id"] for one in came] == [alert.alert_id for alert in alerts]
    assert rest == b""
    assert set(came[0]) == FIELDS


def test_the_signature_is_checked_as_the_page_says() -> None:
    scope: dict[str, Any] = {}
    exec(block("docs/subscribing.md", "verify"), scope)
    body, secret = to_json(episode_of()[0]).encode(), "whsec_" + "QUJD" * 8
    key = b"ABC" * 8
    now = int(time.time())
    headers = {"webhook-id": "a", "webhook-timestamp": str(now), "webhook-signature": signature(key, "a", now, body)}
    assert scope["is_ours"](headers, body, secret)
    assert not scope["is_ours"](headers, body + b" ", secret)
    assert not scope["is_ours"]({**headers, "webhook-id": "b"}, body, secret)
    old = str(now - 900)
    stale = {**headers, "webhook-timestamp": old, "webhook-signature": signature(key, "a", int(old), body)}
    assert not scope["is_ours"](stale, body, secret)


def test_labels_annotations_and_answers_are_those_of_the_code() -> None:
    raised = episode_of()[0]
    markers = (AlertEvidence("pause_share", 0.41, 0.22, 2.3),)
    told = replace(raised, evidence=markers, scores=(ScorePoint(raised.at, 0.5, Band.LOW),))
    posted: Any = as_posted(Episode(raised.at, told), START, "https://undertone.example")
    assert {"evidence", "scores", "dashboard"} <= set(posted["annotations"])
    assert set(json.loads(body_of(told, "https://undertone.example"))) - FIELDS <= set(re.findall(r"`(\w+)`", PAGE))
    section = PAGE.split("## Alertmanager")[1].split("## A webhook")[0]
    assert set(posted["annotations"]) <= set(re.findall(r"`(\w+)`", section))
    assert set(posted["labels"]) - {"alertname", "service"} <= set(re.findall(r"`(\w+)`", section))
    assert posted["labels"]["alertname"] in section
    (row,) = re.findall(r"^\| (4\d\d[\d, ]*) \| counts", PAGE, re.MULTILINE)
    assert {int(status) for status in row.split(",")} == REFUSALS
    assert set(json.loads(to_json(raised))) == FIELDS == set(to_plain(raised))  # type: ignore[arg-type]
