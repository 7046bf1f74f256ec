"""The webhook bridge on both brokers, with a real HTTP receiver that fails in every way."""

import asyncio
import base64
import hashlib
import hmac
import time

import pytest

from schemas import topics
from schemas.events import RiskAlert
from schemas.json_records import to_plain
from schemas.settings import Settings
from streams.notify.webhook import Webhook
from tests.bridging import Killed, Mortal, bridging, delivered, publish, until
from tests.receivers import Request, receiving
from tests.samples import counted
from tests.servers import Broker
from tests.unit.streams.alerts import episode_of

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def settings(broker: Broker) -> Settings:
    broker.create(*(topic.name for topic in topics.TOPICS))
    return Settings.load(kafka_bootstrap=broker.bootstrap, session_timeout_s=6.0, webhook_secret=SECRET)


def to(settings: Settings, url: str, **changes: object) -> Settings:
    return settings.model_copy(update={"webhook_url": url, **changes})


def is_signed(request: Request) -> bool:
    """As a receiver checks it, from the published rules alone."""
    stamp = request.headers["webhook-timestamp"]
    signed = b".".join([request.headers["webhook-id"].encode(), stamp.encode(), request.body])
    expected = base64.b64encode(hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()).decode()
    return request.headers["webhook-signature"] == f"v1,{expected}" and abs(time.time() - int(stamp)) < 60


async def test_every_alert_comes_once_in_order_signed_and_only_then_is_committed(settings: Settings) -> None:
    alerts = [step for n in range(5) for step in episode_of(f"user-{n}")]
    await publish(settings, *alerts)
    with receiving() as receiver:
        live = to(settings, receiver.url + "/hook?team=a")
        for _ in range(2):  # a restart delivers nothing again
            async with bridging(live, Webhook(live)):
                await delivered(live, "webhook")
    assert all(map(is_signed, receiver.requests))
    assert {request.path for request in receiver.requests} == {"/hook?team=a"}
    assert len(receiver.requests) == len(alerts)
    for user in {alert.user_id for alert in alerts}:
        came = [request.json for request in receiver.requests if request.json["user_id"] == user]
        assert came == [to_plain(alert) for alert in alerts if alert.user_id == user]
    assert all(r.headers["idempotency-key"] == r.headers["webhook-id"] == r.json["alert_id"] for r in receiver.requests)


async def test_a_receiver_that_fails_in_every_way_gets_everything_under_the_same_ids(settings: Settings) -> None:
    ways = [503, None, 429, 500, 401, 404, 302]
    alerts = episode_of()
    await publish(settings, *alerts)
    with receiving(lambda _, n: ways[n] if n < len(ways) else 204) as receiver:
        receiver.headers["Retry-After"] = "0"
        live = to(settings, receiver.url)
        async with bridging(live, Webhook(live)):
            await delivered(live, "webhook")
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert ids == [alerts[0].alert_id] * (len(ways) + 1) + [alert.alert_id for alert in alerts[1:]]
    assert all(map(is_signed, receiver.requests))


async def test_what_is_refused_is_counted_and_keeps_nobody_waiting(settings: Settings) -> None:
    first, second, third = episode_of()
    await publish(settings, first, b"no alert at all", second, third)
    with (
        counted("alerts_undelivered_total", stage="webhook", reason="receiver:refused") as refused,
        counted("alerts_undelivered_total", stage="webhook", reason="event:undecodable") as undecodable,
        receiving(lambda request, _: 422 if request.json["alert_id"] == second.alert_id else 200) as receiver,
    ):
        live = to(settings, receiver.url)
        async with bridging(live, Webhook(live)):
            await delivered(live, "webhook")
    assert (refused, undecodable) == ([1], [1])
    assert [request.json["alert_id"] for request in receiver.requests] == [a.alert_id for a in (first, second, third)]


async def test_a_receiver_that_breaks_on_one_alert_does_not_keep_the_others_for_ever(settings: Settings) -> None:
    first, second, _ = episode_of()
    await publish(settings, first, second)
    with (
        counted("alerts_undelivered_total", stage="webhook", reason="receiver:gave_up") as gave_up,
        receiving(lambda request, _: 500 if request.json["alert_id"] == first.alert_id else 200) as receiver,
    ):
        live = to(settings, receiver.url, webhook_give_up_s=0.3)
        async with bridging(live, Webhook(live)):
            await delivered(live, "webhook")
    assert gave_up == [1]
    assert receiver.requests[-1].json["alert_id"] == second.alert_id


async def test_an_alert_that_the_program_fails_on_is_counted_and_delays_no_other(settings: Settings) -> None:
    first, second, third = episode_of()

    class Fragile(Webhook):
        async def deliver(self, partition: int, alert: RiskAlert) -> None:
            if alert.alert_id == second.alert_id:
                raise OverflowError
            await super().deliver(partition, alert)

    await publish(settings, first, second, third)
    with (
        counted("alerts_undelivered_total", stage="webhook", reason="defect:OverflowError") as failed,
        receiving() as receiver,
    ):
        live = to(settings, receiver.url)
        async with bridging(live, Fragile(live)):
            await delivered(live, "webhook")
    assert failed == [1]
    assert [request.json["alert_id"] for request in receiver.requests] == [first.alert_id, third.alert_id]


async def test_a_bridge_that_is_stopped_while_its_receiver_is_away_loses_nothing(settings: Settings) -> None:
    alerts = episode_of()
    await publish(settings, *alerts)
    with receiving(lambda *_: 503) as away:
        live = to(settings, away.url, stop_deadline_s=0.5)
        async with bridging(live, Webhook(live)):
            await until(lambda: away.requests)
    with receiving() as receiver:
        live = to(settings, receiver.url)
        async with bridging(live, Webhook(live)):
            await delivered(live, "webhook")
    assert [request.json["alert_id"] for request in receiver.requests] == [alert.alert_id for alert in alerts]


async def test_a_bridge_that_dies_before_it_commits_sends_that_alert_again_under_its_id(settings: Settings) -> None:
    first, second, third = episode_of()
    await publish(settings, first, second, third)
    with receiving() as receiver:
        live = to(settings, receiver.url)
        with pytest.raises(Killed):
            async with bridging(live, Webhook(live), Mortal):
                await until(lambda: receiver.requests)
        async with bridging(live, Webhook(live)):
            await delivered(live, "webhook")
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert ids == [alert.alert_id for alert in (first, first, second, third)]


async def test_one_receiver_that_hangs_is_left_after_the_timeout(settings: Settings) -> None:
    def slow_once(_: Request, n: int) -> int:
        if n == 0:
            time.sleep(0.6)
        return 200

    (alert, *_) = episode_of()
    await publish(settings, alert)
    with receiving(slow_once) as receiver:
        live = to(settings, receiver.url, bridge_timeout_s=0.2)
        async with bridging(live, Webhook(live)):
            await asyncio.wait_for(delivered(live, "webhook"), 60)
    assert len(receiver.requests) >= 1
