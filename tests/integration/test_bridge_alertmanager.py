"""The Alertmanager bridge with a real Alertmanager, which tells a receiver that counts."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kafka.server import KafkaServer
from schemas import topics
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.notify.alertmanager import Alertmanager
from tests.bridging import Killed, Mortal, bridging, delivered, publish, until
from tests.monitoring import AlertmanagerServer
from tests.receivers import Receiver, receiving
from tests.servers import Broker
from tests.unit.streams.alerts import episode_of

SHIPPED = Path(__file__).parent.parent.parent / "deploy" / "alertmanager" / "alertmanager.yml"


def configuration(clinicians: str) -> str:
    """The shipped configuration with an address for the clinicians and a second instead of a minute."""
    config = yaml.safe_load(SHIPPED.read_text())
    for receiver in config["receivers"]:
        if receiver["name"] == "clinicians":
            receiver["webhook_configs"] = [{"url": clinicians, "send_resolved": True}]
    config["route"]["routes"][0]["group_interval"] = "1s"
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def clinicians() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def alertmanager(clinicians: Receiver) -> Iterator[AlertmanagerServer]:
    with AlertmanagerServer(configuration(clinicians.url)) as server:
        yield server


@pytest.fixture
def settings(alertmanager: AlertmanagerServer) -> Iterator[Settings]:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        yield Settings.load(
            kafka_bootstrap=kafka.bootstrap,
            session_timeout_s=6.0,
            alertmanager_url=alertmanager.url,
            alertmanager_again_s=0.3,
            stop_deadline_s=1.0,
        )


def told(clinicians: Receiver, user: str) -> list[tuple[str, str]]:
    """Status and severity of every notification about a user, as they came."""
    alerts = [alert for request in clinicians.requests for alert in request.json["alerts"]]
    return [(a["status"], a["annotations"]["severity"]) for a in alerts if a["annotations"]["user"] == user]


def firing(alertmanager: AlertmanagerServer, user: str) -> list[dict[str, Any]]:
    return [alert for alert in alertmanager.alerts() if alert["annotations"]["user"] == user]


FIRED, RESOLVED = ("firing", "warning"), ("resolved", "warning")


async def test_raised_fires_escalated_tells_how_bad_resolved_resolves_and_each_is_told_of_once(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    raised, escalated, resolved = episode_of("one")
    async with bridging(settings, Alertmanager(settings)):
        await publish(settings, raised, raised)
        await until(lambda: told(clinicians, "one"))
        (alert,) = firing(alertmanager, "one")
        assert alert["labels"]["episode"] == raised.dedup_key
        assert datetime.fromisoformat(alert["startsAt"]) == raised.at
        await publish(settings, escalated, raised)
        await until(lambda: firing(alertmanager, "one")[0]["annotations"]["severity"] == "critical")
        await publish(settings, resolved, raised, escalated)
        await until(lambda: len(told(clinicians, "one")) > 1)
        await delivered(settings, "alertmanager")
        assert firing(alertmanager, "one") == []
    # Sent again by the next process, which reads the topic from its start: nothing new.
    async with bridging(settings, Alertmanager(settings)):
        await delivered(settings, "alertmanager")
    assert told(clinicians, "one") == [FIRED, RESOLVED]


async def test_alertmanager_away_loses_nothing_not_even_an_episode_that_came_and_went(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    raised, _, resolved = episode_of("two")
    alertmanager.stop()
    async with bridging(settings, Alertmanager(settings)):
        await publish(settings, raised, resolved)
        alertmanager.start()
        await until(lambda: len(told(clinicians, "two")) == 2)
    assert told(clinicians, "two") == [FIRED, RESOLVED]


async def test_an_alertmanager_that_restarts_is_told_again_and_tells_nobody_twice(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    raised, _, resolved = episode_of("three")
    async with bridging(settings, Alertmanager(settings)):
        await publish(settings, raised)
        await until(lambda: told(clinicians, "three"))
        alertmanager.stop()
        alertmanager.start()
        await until(lambda: firing(alertmanager, "three"))
        await publish(settings, resolved)
        await until(lambda: len(told(clinicians, "three")) == 2)
    assert told(clinicians, "three") == [FIRED, RESOLVED]


async def test_a_new_bridge_takes_up_what_is_open_and_passes_over_what_is_over(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    await publish(settings, *episode_of("four"), *episode_of("five")[:2])
    async with bridging(settings, Alertmanager(settings)):
        await until(lambda: told(clinicians, "five"))
        await delivered(settings, "alertmanager")
    assert firing(alertmanager, "five")
    assert told(clinicians, "five") == [("firing", "critical")]
    assert told(clinicians, "four") == []


async def test_a_bridge_that_dies_does_not_let_an_episode_end(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    raised, _, resolved = episode_of("six")
    async with bridging(settings, Alertmanager(settings)):
        await publish(settings, raised)
        await until(lambda: told(clinicians, "six"))
    (alert,) = firing(alertmanager, "six")
    assert (datetime.fromisoformat(alert["endsAt"]) - datetime.fromisoformat(alert["updatedAt"])).days >= 90
    await publish(settings, resolved)
    async with bridging(settings, Alertmanager(settings)):
        await until(lambda: len(told(clinicians, "six")) == 2)
    assert told(clinicians, "six") == [FIRED, RESOLVED]


async def test_a_bridge_that_dies_before_it_commits_doubles_nothing(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    raised, _, resolved = episode_of("seven")
    await publish(settings, *episode_of("seven", episode=1))
    async with bridging(settings, Alertmanager(settings)):
        await delivered(settings, "alertmanager")
    await publish(settings, raised)
    with pytest.raises(Killed):
        async with bridging(settings, Alertmanager(settings), Mortal):
            await until(lambda: told(clinicians, "seven"))
    await publish(settings, resolved)
    async with bridging(settings, Alertmanager(settings)):
        await until(lambda: len(told(clinicians, "seven")) == 2)
        await delivered(settings, "alertmanager")
    assert told(clinicians, "seven") == [FIRED, RESOLVED]


async def test_bridges_share_partitions_and_one_takes_over_what_another_kept_open(
    settings: Settings, kafka: KafkaServer, clinicians: Receiver
) -> None:
    broker = Broker(kafka.bootstrap, real=True)
    broker.empty()
    broker.create(*(topic.name for topic in topics.TOPICS))
    shared = settings.model_copy(update={"kafka_bootstrap": kafka.bootstrap})
    users = [f"sharer {n}" for n in range(6)]
    raised, resolved = ([episode_of(user)[step] for user in users] for step in (0, 2))
    async with AsyncExitStack() as exits:
        first = await exits.enter_async_context(AsyncExitStack())
        await first.enter_async_context(bridging(shared, Alertmanager(shared)))
        await publish(shared, *raised)
        await until(lambda: all(told(clinicians, user) for user in users))
        await exits.enter_async_context(bridging(shared, Alertmanager(shared)))
        await publish(shared, *resolved[:3])
        await until(lambda: all(len(told(clinicians, user)) == 2 for user in users[:3]))
        await first.aclose()
        await publish(shared, *resolved[3:])
        await until(lambda: all(len(told(clinicians, user)) == 2 for user in users))
        await delivered(shared, "alertmanager")
    assert {user: told(clinicians, user) for user in users} == {user: [FIRED, RESOLVED] for user in users}


async def test_one_instance_of_a_cluster_is_enough(
    settings: Settings, alertmanager: AlertmanagerServer, clinicians: Receiver
) -> None:
    with receiving(lambda *_: 500) as broken:
        both = settings.model_copy(update={"alertmanager_url": f"{broken.url}, {alertmanager.url}/"})
        async with bridging(both, Alertmanager(both)):
            await publish(both, episode_of("nine")[0])
            await until(lambda: told(clinicians, "nine"))
            await delivered(both, "alertmanager")
        assert {request.path for request in broken.requests} == {"/api/v2/alerts"}
