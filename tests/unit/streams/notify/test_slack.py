"""Messages to a chat, and the meaning of its server's responses."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Poison, Transient
from schemas.events import AlertEvidence, AlertKind, AlertState, RiskAlert
from schemas.settings import Settings
from streams.notify.slack import LONGEST_QUOTE, Slack, as_text, message_id, quoted
from tests.receivers import Answer, Request, receiving
from tests.unit.streams.alerts import alert, episode_of

RAISED, ESCALATED, RESOLVED = episode_of()
HOSTILE = "<!channel> <@U1|x> & @here @all `code` [a](https://evil.example) <https://evil.example|b>\n\u202e*b*"
PARTITION = 1


def settings_for(url: str, **changes: object) -> Settings:
    return Settings.load(slack_url=url, **changes)


async def requests_for(answer: Answer = (200, "ok"), *steps: RiskAlert, **changes: object) -> list[Request]:
    """Deliver steps, each once; returns the requests."""
    with receiving(lambda *_: answer) as server:
        async with Slack(settings_for(server.url, **changes)) as slack:
            slack.assign(PARTITION, [])
            for step in steps:
                await slack.deliver(PARTITION, step)
    return server.requests


def test_the_text_is_complete_and_warns_against_reading_it_as_a_diagnosis() -> None:
    assert as_text(replace(RAISED, bundle_id="clinic-7"), user=None) == (
        f"Undertone alert raised, severity warning, episode `{RAISED.dedup_key[:8]}`: "
        "scores have moved away from this person's own past, since 2026-04-25 08:00 UTC "
        "(statistic 5.25, threshold 4.50). A compass, never a diagnosis: look at the person, not at the number."
    )


async def test_a_message_says_why_and_where_to_look() -> None:
    markers = (AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.4),)
    told = replace(RAISED, summary="speaks with longer pauses than usual for 6 days", evidence=markers)
    (request,) = await requests_for((200, "ok"), told, dashboard_url="https://undertone.example/")
    text = request.json["text"]
    assert ": speaks with longer pauses than usual for 6 days, since 2026-04-25 08:00 UTC (statistic" in text
    assert "Markers: pause share 0.41, usually 0.22 (+2.3 SD, logit +0.40). A compass" in text
    assert text.endswith(f" https://undertone.example/episodes/{RAISED.dedup_key}")


def test_steps_of_an_episode_have_one_reference_and_name_their_state() -> None:
    texts = [as_text(step, user=None) for step in (RAISED, ESCALATED, RESOLVED)]
    assert len({re.findall(r"episode `(\w{8})`", text)[0] for text in texts}) == 1
    assert "alert raised, severity warning" in texts[0]
    assert "alert escalated, severity critical" in texts[1]
    assert "alert resolved" in texts[2]
    assert "scores had moved away" in texts[2]
    other = as_text(alert(AlertState.RAISED, episode=1), user=None)
    assert re.findall(r"episode `(\w{8})`", other) != re.findall(r"episode `(\w{8})`", texts[0])


def test_the_kind_is_said_in_words_and_alerts_of_the_demonstration_say_so() -> None:
    level = as_text(alert(AlertState.RAISED, kind=AlertKind.LEVEL), user=None)
    assert "most recent scores of this person are in the high band" in level
    assert "says nothing about any person" in level
    assert "says nothing about any person" not in as_text(replace(RAISED, bundle_id="clinic-7"), user=None)


async def test_a_message_is_one_text_without_pseudonym_memo_or_full_id() -> None:
    (request,) = await requests_for((200, "ok"), RAISED)
    assert set(request.json) == {"text"}
    body = request.body.decode()
    assert not [name for name in (RAISED.user_id, RAISED.memo_id, RAISED.alert_id, RAISED.dedup_key) if name in body]


async def test_the_pseudonym_is_named_when_the_setting_says_so() -> None:
    (request,) = await requests_for((200, "ok"), RAISED, slack_names_users=True)
    assert f" of `{RAISED.user_id}`: " in request.json["text"]


async def test_text_of_a_record_has_no_mention_and_no_link() -> None:
    markers = (AlertEvidence(HOSTILE, 1.0, 1.0, 1.0),)
    hostile = replace(
        RAISED,
        user_id=HOSTILE,
        dedup_key="<!here>`@all",
        bundle_id=HOSTILE,
        memo_id=HOSTILE,
        summary=HOSTILE,
        evidence=markers,
    )
    (request,) = await requests_for((200, "ok"), hostile, slack_names_users=True, dashboard_url="https://u.example")
    text = request.json["text"]
    assert text.count("`") == 4
    assert not set("<>\n\u202e") & set(text)
    assert not re.search(r"@\w", text)
    assert "evil.example" not in re.sub(r"`[^`]*`", "", text)


@given(st.text(max_size=400))
def test_whatever_a_record_holds_stays_within_its_quotes(text: str) -> None:
    shown = quoted(text)
    assert (shown[0], shown[-1]) == ("`", "`")
    inner = shown[1:-1]
    assert not set("`<>") & set(inner)
    assert not re.search(r"@(?!\u200b)|&(?!amp;|lt;|gt;)", inner)
    assert inner.replace("\u200b", "").isprintable()


def test_a_text_without_end_is_cut() -> None:
    assert len(quoted("x" * 100_000)) == LONGEST_QUOTE + len("``")


ANSWERS: list[tuple[int, str, type[Exception]]] = [
    (400, "invalid_payload", Poison),
    (400, "no_text", Poison),
    (413, "", Poison),
    (400, "user_not_found", Transient),
    (400, '{"id": "web.incoming_webhook.invalid.app_error", "status_code": 400}', Transient),
    (400, '{"success": false, "error": "invalid-channel"}', Transient),
    (403, "action_prohibited", Transient),
    (404, "no_service", Transient),
    (404, "channel_not_found", Transient),
    (410, "channel_is_archived", Transient),
    (429, "rate_limited", Transient),
    (500, "rollup_error", Transient),
]


@pytest.mark.parametrize(("status", "text", "expected"), ANSWERS)
async def test_only_an_invalid_message_is_refused_permanently(
    status: int, text: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match=f"HTTP {status}") as failed:
        await requests_for((status, text), RAISED)
    assert not text or text not in str(failed.value)


async def test_retries_end_by_the_channels_own_setting() -> None:
    now = [0.0]
    with receiving(lambda *_: 404) as server:
        async with Slack(settings_for(server.url, slack_give_up_s=3600.0), clock=lambda: now[0]) as slack:
            slack.assign(PARTITION, [])
            with pytest.raises(Transient):
                await slack.deliver(PARTITION, RAISED)
            now[0] = 3600.0
            with pytest.raises(Poison, match="not accepted within 3600 s"):
                await slack.deliver(PARTITION, RAISED)


def named(_: Request, n: int) -> tuple[int, str]:
    """The answer of Rocket.Chat with `separateResponse`: the message's id, `m0` for the first."""
    return 200, json.dumps({"responses": [{"channel": "#care", "message": {"_id": f"m{n}"}}], "success": True})


async def test_where_the_answer_names_the_message_later_steps_reply_to_the_first() -> None:
    other = alert(AlertState.RAISED, "user-2")
    with receiving(named) as server:
        async with Slack(settings_for(server.url)) as slack:
            slack.assign(PARTITION, [])
            for step in (RAISED, other, ESCALATED, RESOLVED, RAISED):
                await slack.deliver(PARTITION, step)
    # The resolved episode has no thread any more: a repeat of its first step is a new message.
    assert [request.json.get("tmid") for request in server.requests] == [None, None, "m0", "m0", None]


async def test_a_reply_that_was_not_accepted_is_retried_without_a_thread() -> None:
    with receiving(lambda request, n: 400 if "tmid" in request.json else named(request, n)) as server:
        async with Slack(settings_for(server.url)) as slack:
            slack.assign(PARTITION, [])
            await slack.deliver(PARTITION, RAISED)
            with pytest.raises(Transient):
                await slack.deliver(PARTITION, ESCALATED)
            await slack.deliver(PARTITION, ESCALATED)
    assert [request.json.get("tmid") for request in server.requests] == [None, "m0", None]


async def test_a_revoked_partition_loses_its_threads() -> None:
    with receiving(named) as server:
        async with Slack(settings_for(server.url)) as slack:
            slack.assign(PARTITION, [])
            await slack.deliver(PARTITION, RAISED)
            slack.revoke(PARTITION)
            slack.assign(PARTITION, [])
            await slack.deliver(PARTITION, ESCALATED)
    assert [request.json.get("tmid") for request in server.requests] == [None, None]


@pytest.mark.parametrize(
    "answer",
    ["", "ok", '"ok"', "[]", "{}", '{"success": true}', '{"responses": []}', '{"responses": [{"error": "x"}]}'],
)
def test_a_response_without_a_message_id_starts_no_thread(answer: str) -> None:
    assert message_id(answer) is None


async def test_steps_to_a_server_without_threads_are_messages_of_their_own() -> None:
    requests = await requests_for((200, "ok"), RAISED, ESCALATED, RESOLVED)
    assert [set(request.json) for request in requests] == [{"text"}] * 3
