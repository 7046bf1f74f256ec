"""Alerts as chat messages, through incoming webhooks in Slack's format.

Slack, Mattermost and Rocket.Chat all accept `{"text": ...}`, so a message is one text and nothing else. Their responses
differ, and most refusals are about the webhook, not about this message:

    2xx                                     accepted
    400 invalid_payload, no_text (Slack)    this message can never be accepted → Poison
    406, 409, 411, 413, 414, 415, 422, 431  the same
    400 otherwise                           Mattermost: no such webhook; Rocket.Chat: no such channel, or no permission
    403 action_prohibited                   the workspace does not allow this webhook to post
    404 no_service, channel_not_found       the webhook or its channel was removed
    410 channel_is_archived                 the channel was archived
    429, 5xx, no response                   rate limit, outage, or a disabled webhook

An operator can fix all cases below Poison, so those alerts are retried until `slack_give_up_s`.

Threads: Slack and Mattermost respond `ok`, without the id of the message, so later steps of an episode cannot reply to
the first. Rocket.Chat responds with the id when the script of its webhook sets `separateResponse`; then later steps are
sent as replies (`tmid`) for as long as this process owns the partition. The topic does not contain that id, so after a
restart steps are new messages in the channel. On every server all steps show the same short reference.
"""

import html
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC

from schemas.channels import SLACK
from schemas.events import AlertState, RiskAlert
from schemas.settings import Settings
from streams.notify.http_client import REFUSALS, checked_url, post
from streams.notify.http_receiver import HttpReceiver
from streams.notify.links import dashboard_of, episode_link
from streams.notify.receivers import Receiver
from streams.reasons.phrases import caution, evidence_said, said

REFUSED_MESSAGES = frozenset({"invalid_payload", "no_text"})
"""Slack's response text with 400 when the message itself is invalid."""
REFERENCE_CHARACTERS = 8
"""Of the `dedup_key`, to distinguish episodes in a channel."""
LONGEST_QUOTE = 256
"""Maximum characters of a record's text; Rocket.Chat refuses messages that are too long."""


class Slack(HttpReceiver):
    """One incoming webhook. `async with Slack(settings) as receiver`. Raises ConfigurationError without an address.

    clock: Unix time. An alert that is redelivered after a crash is a second message: no server deduplicates them.
    """

    name = SLACK.name

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings.bridge_timeout_s, settings.slack_give_up_s, clock)
        self._url = checked_url(settings.slack_url, SLACK.variable)
        self._names_users, self._dashboard = settings.slack_names_users, dashboard_of(settings)
        self._threads: dict[int, dict[str, str]] = {}
        """By partition and `dedup_key` of an open episode: id of the message that later steps reply to."""

    def assign(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Start a partition, without threads."""
        super().assign(partition, history)
        self._threads[partition] = {}

    def revoke(self, partition: int) -> None:
        """Drop the threads of a partition, which another process owns now."""
        super().revoke(partition)
        self._threads.pop(partition, None)

    async def send(self, partition: int, alert: RiskAlert) -> None:
        """Post one message. Raises Poison and Transient by the table above."""
        threads = self._threads[partition]
        # Stored again only after the server accepts: the message replied to may be the cause of a refusal.
        thread = threads.pop(alert.dedup_key, None)
        user = alert.user_id if self._names_users else None
        message = {"text": as_text(alert, user=user, link=episode_link(self._dashboard, alert.dedup_key))}
        if thread is not None:
            message["tmid"] = thread
        answer = await post(
            self._client, self._url, json.dumps(message).encode(), {}, is_refusal, setting=SLACK.variable
        )
        first = thread or message_id(answer)
        if first is not None and alert.state is not AlertState.RESOLVED:
            threads[alert.dedup_key] = first


def make_receiver(settings: Settings) -> Receiver:
    """The receiver of this channel."""
    return Slack(settings)


def is_refusal(status: int, answer: str) -> bool:
    """Whether a response means that this message can never be accepted."""
    return answer.strip() in REFUSED_MESSAGES if status == 400 else status in REFUSALS


def message_id(answer: str) -> str | None:
    """Id of the posted message if the response contains it, as Rocket.Chat's does when configured; else None.

    >>> message_id('{"responses": [{"message": {"_id": "m1"}}], "success": true}')
    'm1'
    >>> message_id("ok")
    """
    try:
        found = json.loads(answer)["responses"][0]["message"]["_id"]
    except (ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) else None


def as_text(alert: RiskAlert, user: str | None, link: str | None = None) -> str:
    """The alert in sentences. user: the pseudonym to include, or None; link: to its episode, or None."""
    named = "" if user is None else f" of {quoted(user)}"
    markers = evidence_said(alert.evidence)
    return (
        f"Undertone alert {alert.state}, severity {alert.severity}, "
        f"episode {quoted(alert.dedup_key[:REFERENCE_CHARACTERS])}{named}: "
        f"{said(alert)}, since {alert.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC "
        f"(statistic {alert.statistic:.2f}, threshold {alert.threshold:.2f})."
        f"{f' Markers: {markers}.' if markers else ''} {caution(alert.bundle_id)}{f' {link}' if link else ''}"
    )


def quoted(text: str) -> str:
    r"""Text of a record as inline code, so that no server finds a link, a mention or markup.

    Slack resolves `<...>` in code as well, so its three characters are escaped; Mattermost and Rocket.Chat may treat
    `@name` as a mention, so a zero-width space separates the two.

    >>> quoted("<!channel> `x` @here")
    '`&lt;!channel&gt;  x  @\u200bhere`'
    """
    shown = "".join(" " if mark == "`" or not mark.isprintable() else mark for mark in text[:LONGEST_QUOTE])
    return "`" + html.escape(shown, quote=False).replace("@", "@\u200b") + "`"
