"""The bridge to a chat on the embedded broker, with a real HTTP server that fails as chats do."""

import logging
import time
from collections.abc import Iterator

import pytest

from schemas import topics
from schemas.settings import Settings
from streams.local.embedded import EmbeddedKafka
from streams.notify.slack import Slack, as_text
from tests.bridging import Killed, Mortal, bridging, delivered, publish, until
from tests.receivers import Answer, Request, receiving
from tests.samples import counted
from tests.unit.streams.alerts import episode_of


@pytest.fixture
def settings() -> Iterator[Settings]:
    with EmbeddedKafka(topic.name for topic in topics.TOPICS) as kafka:
        yield Settings.load(kafka_bootstrap=kafka.bootstrap, session_timeout_s=6.0)


def to(settings: Settings, url: str, **changes: object) -> Settings:
    return settings.model_copy(update={"slack_url": url, **changes})


async def test_every_step_is_told_once_in_order_through_every_failure_that_passes(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    failures: list[Answer] = [
        (404, "no_service"),
        (410, "channel_is_archived"),
        500,
        None,
        (400, "user_not_found"),
        302,
    ]
    alerts = episode_of("someone")
    await publish(settings, *alerts)
    with receiving() as elsewhere, receiving(lambda _, n: failures[n] if n < len(failures) else (200, "ok")) as chat:
        chat.headers["Location"] = elsewhere.url
        live = to(settings, f"{chat.url}/services/h1dden")
        for _ in range(2):  # a restart tells nothing again
            async with bridging(live, Slack(live)):
                await delivered(live, "slack")
    texts = [as_text(alert, user=None) for alert in alerts]
    assert [request.json for request in chat.requests] == [{"text": t} for t in texts[:1] * len(failures) + texts]
    assert elsewhere.requests == []
    assert b"someone" not in b"".join(request.body for request in chat.requests)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("streams.", "workers."))]
    assert any("transient error, retrying" in line for line in ours)
    assert not [line for line in ours if "h1dden" in line or "someone" in line]


async def test_a_rate_limit_is_kept_for_as_long_as_the_server_asks(settings: Settings) -> None:
    came: list[float] = []

    def limited(_: Request, n: int) -> Answer:
        came.append(time.monotonic())
        return (429, "rate_limited") if n == 0 else (200, "ok")

    (alert, *_) = episode_of()
    await publish(settings, alert)
    with receiving(limited) as chat:
        chat.headers["Retry-After"] = "1"
        live = to(settings, chat.url)
        async with bridging(live, Slack(live)):
            await delivered(live, "slack")
    assert len(came) == 2
    assert came[1] - came[0] >= 1.0


async def test_a_message_that_cannot_be_read_is_counted_and_the_next_one_is_told(settings: Settings) -> None:
    first, second, _ = episode_of()
    await publish(settings, first, second)
    with (
        counted("alerts_undelivered_total", stage="slack", reason="receiver:refused") as refused,
        receiving(lambda _, n: (400, "invalid_payload") if n == 0 else (200, "ok")) as chat,
    ):
        live = to(settings, chat.url)
        async with bridging(live, Slack(live)):
            await delivered(live, "slack")
    assert refused == [1]
    assert [request.json["text"] for request in chat.requests] == [as_text(step, user=None) for step in (first, second)]


async def test_a_bridge_that_dies_before_it_commits_tells_that_step_again(settings: Settings) -> None:
    first, second, third = episode_of()
    await publish(settings, first, second, third)
    with receiving(lambda *_: (200, "ok")) as chat:
        live = to(settings, chat.url)
        with pytest.raises(Killed):
            async with bridging(live, Slack(live), Mortal):
                await until(lambda: chat.requests)
        async with bridging(live, Slack(live)):
            await delivered(live, "slack")
    texts = [as_text(step, user=None) for step in (first, first, second, third)]
    assert [request.json["text"] for request in chat.requests] == texts
