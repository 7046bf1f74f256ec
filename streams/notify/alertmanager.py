"""Alerts to Prometheus' Alertmanager, through its v2 API.

Alertmanager has no durable state: an alert that is not reposted resolves by itself, and a restart loses all. So open
episodes are posted with an end far in the future and reposted periodically; resolved ones are reposted for a while, as
Prometheus does. Open episodes are read from the topic, so a restart of the bridge needs no store.
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
from streams.notify.http_client import RetryLater, checked_url, make_client, post
from streams.notify.links import dashboard_of
from streams.notify.receivers import Receiver, ended
from workers.privacy.key_requests import erased_since
from workers.privacy.sealing import sealing_of
from workers.service import prometheus

log = logging.getLogger(__name__)

API = "/api/v2/alerts"
AT_ONCE = 500
"""Maximum alerts in one request."""
VISIBLE_S = 2.0
"""Minimum time that an episode fires: Alertmanager notifies of none that starts and ends at once."""
RESOLVED_FOR_S = 900.0
"""How long a resolved episode is reposted."""


@dataclass(slots=True)
class PartitionEpisodes:
    """The episodes of one partition. resolved: keys; reposted: resolved episodes, and until when (monotonic)."""

    open: dict[str, Episode] = field(default_factory=dict)
    resolved: set[str] = field(default_factory=set)
    reposted: dict[str, tuple[Episode, float]] = field(default_factory=dict)

    def record(self, episode: Episode) -> None:
        """Store the newest version of an episode."""
        key = episode.last.dedup_key
        if episode.is_open:
            self.open[key] = episode
        else:
            self.open.pop(key, None)
            self.resolved.add(key)

    def advanced(self, step: RiskAlert) -> Episode | None:
        """The episode after a step, not recorded yet; None when the step is not new."""
        return None if step.dedup_key in self.resolved else advanced(self.open.get(step.dedup_key), step)


class Alertmanager:
    """One Alertmanager or a cluster. `async with Alertmanager(settings) as receiver`. Raises ConfigurationError.

    An alert counts as accepted when one instance accepts it; the others get it with the next repost.
    clock: the time now, aware.
    """

    name = ALERTMANAGER.name
    needs_history = True

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        urls = (settings.alertmanager_url or "").split(",")
        self._urls = [checked_url(url.strip(), ALERTMANAGER.variable) + API for url in urls]
        self._timeout_s, self._repost_s = settings.bridge_timeout_s, settings.alertmanager_again_s
        self._session_s, self._clock = settings.session_timeout_s, clock
        self._dashboard, self._border = dashboard_of(settings), sealing_of(settings)
        self._partitions: dict[int, PartitionEpisodes] = {}
        self._fired: dict[str, float] = {}
        """When an open episode was first accepted (monotonic), for episodes that this process posted."""
        self._lock = asyncio.Lock()
        self._soon = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._client = make_client(self._timeout_s)
        self._reposting = asyncio.create_task(self._repost_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._reposting.cancel()
        with suppress(asyncio.CancelledError):
            await self._reposting
        await self._client.aclose()

    def assign(self, partition: int, history: Sequence[RiskAlert]) -> None:
        """Start a partition. history: its alerts so far; the open episodes are posted within a second."""
        episodes = self._partitions[partition] = PartitionEpisodes()
        for step in history:
            if (episode := episodes.advanced(step)) is not None:
                episodes.record(episode)
        self._count_open()
        self._soon.set()

    def revoke(self, partition: int) -> None:
        """Drop the episodes of a partition, which another process owns now."""
        self._partitions.pop(partition, None)
        self._count_open()

    async def deliver(self, partition: int, alert: RiskAlert) -> None:
        """Post one step. Raises Poison when Alertmanager refuses it, Transient when no instance accepts it."""
        episodes = self._partitions[partition]
        episode = episodes.advanced(alert)
        if episode is None:
            return
        if not episode.is_open and (fired := self._fired.pop(alert.dedup_key, None)) is not None:
            await asyncio.sleep(fired + VISIBLE_S - time.monotonic())
        # One request at a time: a repost must not overtake the end of an episode.
        async with self._lock:
            await self._post([episode])
            episodes.record(episode)
        if episode.is_open:
            self._fired.setdefault(alert.dedup_key, time.monotonic())
        else:
            episodes.reposted[alert.dedup_key] = episode, time.monotonic() + RESOLVED_FOR_S
        self._count_open()

    async def _post(self, episodes: Sequence[Episode]) -> None:
        """Post to every instance; one that accepts is enough. Raises a failure, Transient if any, when none does.

        Only then it waits for as long as an instance asks: one that is overloaded must not delay the others.
        """
        now = self._clock()
        body = json.dumps([as_posted(episode, now, self._dashboard) for episode in episodes]).encode()
        results = await asyncio.gather(*(self._post_to(url, body) for url in self._urls))
        failures = [result for result in results if result is not None]
        if len(failures) == len(self._urls):
            await asyncio.sleep(max(each.wait_s if isinstance(each, RetryLater) else 0.0 for each in failures))
            raise next((failure for failure in failures if isinstance(failure, Transient)), failures[-1])

    async def _post_to(self, url: str, body: bytes) -> UndertoneError | None:
        try:
            await post(self._client, url, body, {}, setting=ALERTMANAGER.variable)
        except (Poison, Transient) as failure:
            return failure
        return None

    async def _repost_forever(self) -> None:
        """Post all episodes periodically, and soon after a partition is assigned."""
        while True:
            started = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._repost_s):
                    await self._soon.wait()
            self._soon.clear()
            if time.monotonic() - started > self._repost_s + self._session_s:
                # This process was paused beyond the session timeout: its partitions may have a new owner.
                continue
            try:
                await self._repost()
            except (Poison, Transient) as error:
                log.warning("reposting open episodes failed, next attempt in %g s: %s", self._repost_s, error)

    async def _repost(self) -> None:
        async with self._lock:
            await self._end_erased()
            episodes = list(self._to_repost(time.monotonic()))
            for start in range(0, len(episodes), AT_ONCE):
                await self._post(episodes[start : start + AT_ONCE])

    async def _end_erased(self) -> None:
        """End the episodes of people who were erased: no record that a bridge could open says so."""
        found = [(part, each) for part in self._partitions.values() for each in part.open.values()]
        gone: set[str] = set()
        with suppress(Transient):  # they end as soon as the key directory answers
            gone = await erased_since(self._border, {episode.last.user_id for _, episode in found})
        for part, episode in found:
            if episode.last.user_id in gone:
                last = Episode(episode.began, ended(episode.last, self._clock()))
                part.record(last)
                part.reposted[last.last.dedup_key] = last, time.monotonic() + RESOLVED_FOR_S
        self._count_open()

    def _to_repost(self, now: float) -> Iterable[Episode]:
        for episodes in self._partitions.values():
            episodes.reposted = {key: each for key, each in episodes.reposted.items() if each[1] > now}
            yield from episodes.open.values()
            yield from (episode for episode, _ in episodes.reposted.values())

    def _count_open(self) -> None:
        prometheus.EPISODES_OPEN.set(sum(len(episodes.open) for episodes in self._partitions.values()))


def make_receiver(settings: Settings) -> Receiver:
    """The receiver of this channel."""
    return Alertmanager(settings)
