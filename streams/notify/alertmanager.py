"""Alerts to Prometheus' Alertmanager, by its v2 API.

Alertmanager forgets: an alert that is not posted again ends by itself, and a restart loses them all. So an open episode
is posted with an end far ahead, and all of them again and again; one that is over is posted for a while longer, as
Prometheus does. What is open is read from the topic, so a restart of the bridge needs no store.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from schemas.channels import ALERTMANAGER
from schemas.errors import Poison, Transient, UndertoneError
from schemas.events import RiskAlert
from schemas.settings import Settings
from streams.notify.alertmanager_payload import Episode, advanced, as_posted
from streams.notify.http_client import checked_url, make_client, post
from streams.notify.receivers import Receiver
from workers.service import prometheus

log = logging.getLogger(__name__)

API = "/api/v2/alerts"
AT_ONCE = 500
"""Alerts in one request."""
VISIBLE_S = 2.0
"""An episode fires at least so long: Alertmanager would never tell of one that it sees begin and end at once."""
RESOLVED_FOR_S = 900.0
"""How long an episode that is over is posted again."""


@dataclass(slots=True)
class Known:
    """The episodes of one partition. over: keys of all that are; posted_again: those over, until when (monotonic)."""

    open: dict[str, Episode] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    posted_again: dict[str, tuple[Episode, float]] = field(default_factory=dict)

    def learn(self, episode: Episode) -> None:
        """Replace what is known of an episode."""
        key = episode.last.dedup_key
        if episode.is_open:
            self.open[key] = episode
        else:
            self.open.pop(key, None)
            self.over.add(key)

    def advanced(self, step: RiskAlert) -> Episode | None:
        """The episode after a step, not learnt yet; None when the step says nothing new."""
        return None if step.dedup_key in self.over else advanced(self.open.get(step.dedup_key), step)


class Alertmanager:
    """One Alertmanager or a cluster. `async with Alertmanager(settings) as receiver`. Raises ConfigurationError.

    An alert counts as accepted when one instance has taken it; the others get it with the next round.
    clock: the time now, aware.
    """

    name = ALERTMANAGER.name
    needs_history = True

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        urls = (settings.alertmanager_url or "").split(",")
        self._urls = [checked_url(url.strip(), ALERTMANAGER.variable) + API for url in urls]
        self._timeout_s, self._again_s = settings.bridge_timeout_s, settings.alertmanager_again_s
        self._absent_s, self._clock = settings.session_timeout_s, clock
        self._known: dict[int, Known] = {}
        self._fired: dict[str, float] = {}
        """When an open episode was first accepted (monotonic), of those that this process posted."""
        self._turn = asyncio.Lock()
        self._soon = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._client = make_client(self._timeout_s)
        self._again = asyncio.create_task(self._post_again_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._again.cancel()
        with suppress(asyncio.CancelledError):
            await self._again
        await self._client.aclose()

    def take_up(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Begin with a partition: its alerts so far. The open ones among them are posted within a second."""
        known = self._known[partition] = Known()
        for step in history:
            if (episode := known.advanced(step)) is not None:
                known.learn(episode)
        self._count_open()
        self._soon.set()

    def forget(self, partition: int) -> None:
        """The partition is another process's now, and so are its episodes."""
        self._known.pop(partition, None)
        self._count_open()

    async def deliver(self, partition: int, alert: RiskAlert) -> None:
        """Post one step. Raises Poison when Alertmanager refuses it, Transient when none could take it."""
        known = self._known[partition]
        episode = known.advanced(alert)
        if episode is None:
            return
        if not episode.is_open and (fired := self._fired.pop(alert.dedup_key, None)) is not None:
            await asyncio.sleep(fired + VISIBLE_S - time.monotonic())
        # One request at a time: what is posted again must not overtake the end of an episode.
        async with self._turn:
            await self._post([episode])
            known.learn(episode)
        if episode.is_open:
            self._fired.setdefault(alert.dedup_key, time.monotonic())
        else:
            known.posted_again[alert.dedup_key] = episode, time.monotonic() + RESOLVED_FOR_S
        self._count_open()

    async def _post(self, episodes: Sequence[Episode]) -> None:
        """Post to every instance; one that accepts is enough. Raises what the last one said when none does."""
        now = self._clock()
        body = json.dumps([as_posted(episode, now) for episode in episodes]).encode()
        answers = await asyncio.gather(*(self._ask(url, body) for url in self._urls))
        failures = [answer for answer in answers if answer is not None]
        if len(failures) == len(self._urls):
            raise next((failure for failure in failures if isinstance(failure, Transient)), failures[-1])

    async def _ask(self, url: str, body: bytes) -> UndertoneError | None:
        try:
            await post(self._client, url, body, {})
        except (Poison, Transient) as failure:
            return failure
        return None

    async def _post_again_for_ever(self) -> None:
        """Post all episodes at every round, and soon after a partition was taken up."""
        while True:
            began = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._again_s)
            self._soon.clear()
            if time.monotonic() - began > self._again_s + self._absent_s:
                # This process was stopped for so long that its partitions may be another's, who knows better.
                continue
            try:
                await self._post_again()
            except (Poison, Transient) as error:
                log.warning("open episodes could not be posted again and wait for the next round: %s", error)

    async def _post_again(self) -> None:
        async with self._turn:
            waiting = list(self._to_post_again(time.monotonic()))
            for start in range(0, len(waiting), AT_ONCE):
                await self._post(waiting[start : start + AT_ONCE])

    def _to_post_again(self, now: float) -> Iterable[Episode]:
        for known in self._known.values():
            known.posted_again = {key: kept for key, kept in known.posted_again.items() if kept[1] > now}
            yield from known.open.values()
            yield from (episode for episode, _ in known.posted_again.values())

    def _count_open(self) -> None:
        prometheus.EPISODES_OPEN.set(sum(len(known.open) for known in self._known.values()))


def make_receiver(settings: Settings) -> Receiver:
    """The receiver of this channel."""
    return Alertmanager(settings)
