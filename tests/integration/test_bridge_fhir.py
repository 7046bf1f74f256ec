"""The bridge to a FHIR server on the embedded broker, with a real HTTP server that checks as FHIR servers do."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from schemas import topics
from schemas.events import Band, RiskAlert, RiskScored
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.notify.fhir import Fhir
from tests.bridging import CODEC, Killed, Mortal, bridging, delivered, until
from tests.fhir_server import fhir_server
from tests.samples import counted
from tests.unit.streams.alerts import episode_of
from tests.unit.streams.fhir.resources import scored
from workers.kafka.clients import make_producer

KNOWN, STRANGER = "clinic-a-7", "nobody"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    table = tmp_path / "patients.csv"
    table.write_text(f"pseudonym,patient\n{KNOWN},Patient/42\nmoved,Patient/43\n")
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        yield Settings.load(
            kafka_bootstrap=kafka.bootstrap, session_timeout_s=6.0, fhir_patients=table, fhir_token="t0ken-of-tests"
        )


async def publish(settings: Settings, *records: RiskAlert | RiskScored | bytes) -> None:
    producer = make_producer(settings)
    await producer.start()
    try:
        for each in records:
            topic = topics.ALERTS if isinstance(each, RiskAlert) else topics.SCORED
            value = each if isinstance(each, bytes) else CODEC.encode(each, f"{topic.name}-value")
            key = b"x" if isinstance(each, bytes) else each.user_id.encode()
            await producer.send_and_wait(topic.name, value, key)
    finally:
        await producer.stop()


async def all_delivered(settings: Settings) -> None:
    for topic in (topics.SCORED, topics.ALERTS):
        await delivered(settings, "fhir", topic.name)


async def test_scores_and_episodes_are_stored_once_through_failures_that_pass(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first = replace(scored(Band.INDETERMINATE), reasons=("missing:embedding",), user_id=KNOWN)
    revised = replace(scored(), score_id="s2", user_id=KNOWN)
    other = replace(scored(Band.LOW, 0.1), score_id="s3", memo_id="memo-2", user_id=KNOWN)
    steps = episode_of(KNOWN)
    await publish(settings, first, revised, other, *steps[:2])
    failures = [401, 409, 503]
    with fhir_server("Patient/42", token="t0ken-of-tests") as server:
        server.fail = lambda n: failures[n] if n < len(failures) else None
        live = settings.model_copy(update={"fhir_url": f"{server.url}/"})
        for _ in range(2):  # a restart stores nothing again
            async with bridging(live, Fhir(live)):
                await all_delivered(live)
        assert sorted(server.statuses[len(failures) :]) == [200, 200, 201, 201, 201]
        judged = {each["status"]: each for each in server.of("RiskAssessment")}
        assert len(server.of("RiskAssessment")) == 2
        assert set(judged) == {"final"}, "the revision replaced what came before"
        (open_flag,) = server.of("Flag")
        assert open_flag["status"] == "active"
        await publish(settings, steps[2])
        async with bridging(live, Fhir(live)):
            await all_delivered(live)
        (flag,) = server.of("Flag")
        assert (flag["status"], flag["subject"]["reference"]) == ("inactive", "Patient/42")
        assert "end" in flag["period"]
    told = "".join(record.getMessage() for record in caplog.records if record.name.startswith(("streams.", "workers.")))
    assert "retrying" in told
    assert not [secret for secret in ("t0ken", KNOWN, "Patient/42", "/r4") if secret in told]


async def test_strangers_are_skipped_and_what_is_refused_or_unreadable_delays_nothing(settings: Settings) -> None:
    strangers: list[RiskAlert | RiskScored] = [replace(scored(), user_id=STRANGER), episode_of(STRANGER)[0]]
    refused = replace(scored(), user_id="moved")
    await publish(settings, b"no score", *strangers, refused, replace(scored(), user_id=KNOWN), *episode_of(KNOWN)[:1])
    undelivered = "alerts_undelivered_total"
    with fhir_server("Patient/42", token="t0ken-of-tests") as server:  # Patient/43 was deleted there
        live = settings.model_copy(update={"fhir_url": server.url})
        with (
            counted("bridge_skipped_total", stage="fhir", reason="receiver:no_patient") as skipped,
            counted(undelivered, stage="fhir", reason="receiver:refused") as refusals,
            counted(undelivered, stage="fhir", reason="event:undecodable") as unreadable,
        ):
            async with bridging(live, Fhir(live)):
                await all_delivered(live)
        assert sorted(server.statuses) == [201, 201, 400]
    assert (skipped, refusals, unreadable) == ([2], [1], [1])


async def test_a_crash_before_the_commit_stores_nothing_twice(settings: Settings) -> None:
    """Nor is a score sent where only episodes are wanted."""
    await publish(settings, replace(scored(), user_id=KNOWN))
    with fhir_server("Patient/42", token="t0ken-of-tests") as server:
        live = settings.model_copy(update={"fhir_url": server.url})
        with pytest.raises(Killed):
            async with bridging(live, Fhir(live), Mortal):
                await until(lambda: server.statuses)
        async with bridging(live, Fhir(live)):
            await all_delivered(live)
        assert server.statuses == [201, 200]
        assert len(server.of("RiskAssessment")) == 1
        async with Fhir(live.model_copy(update={"fhir_scores": False})) as only_flags:
            await only_flags.deliver_score(0, replace(scored(), user_id=KNOWN))
        assert len(server.statuses) == 2
