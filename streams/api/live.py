"""Live events: what history stores, given to every subscriber once, in order, and again after a cut.

One task reads new rows for all subscribers. Each has a bounded queue; one that does not keep up is cut off, comes back
with the id of its last event, and reads what it missed from the database.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from schemas.errors import Transient
from schemas.json_records import json_line, to_plain
from streams.api.event_stream import frame, known
from streams.history.database import Database
from streams.history.live import LIVE_TOPICS, LiveEvent, Position, TooOld, position, since
from workers.service import prometheus

log = logging.getLogger(__name__)

POLL_S = 0.25
"""Seconds between two looks at the database."""
WAITING = 64
"""Batches that may wait for one subscriber."""
BATCH = 500
"""Most events of a topic in one batch."""
RESET = "reset"
"""Name of the event after which a page has to be loaded again."""
AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Batch:
    """New events, and the position after them. reset: there may be others that can no longer be listed."""

    events: tuple[LiveEvent, ...]
    position: Position
    reset: bool = False


@dataclass(eq=False, slots=True)
class Subscriber:
    """One client. wanted: topics; sees: whether its viewer may see an event; position: what it has."""

    wanted: Collection[str]
    sees: Callable[[LiveEvent], bool]
    position: Position
    queue: asyncio.Queue[Batch | None] = field(default_factory=lambda: asyncio.Queue(WAITING + 1))
    cut: bool = False

    def offer(self, batch: Batch) -> None:
        """Give it a batch; without room it is cut off."""
        if self.cut:
            return
        if self.queue.qsize() >= WAITING:
            self.cut = True
            prometheus.LIVE_CUT.inc()
            self.queue.put_nowait(None)
        else:
            self.queue.put_nowait(batch)

    def take(self, batch: Batch) -> list[tuple[LiveEvent, Position]]:
        """What of a batch is new to it and may be seen, each with the position after it."""
        found = []
        for event in batch.events:
            at = event.topic, event.partition
            if event.seq <= self.position.numbers.get(at, 0):
                continue
            self.position = self.position.after(event)
            if event.topic in self.wanted and self.sees(event):
                found.append((event, self.position))
        self.position = _later(self.position, batch.position)
        return found


class LiveEvents:
    """The events of one process. `run` reads while somebody subscribes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: set[Subscriber] = set()
        self._wanted = asyncio.Event()
        self._known: Position | None = None

    async def run(self) -> NoReturn:
        """Read until cancelled. A database that does not answer only delays events."""
        while True:
            await self._wanted.wait()
            try:
                await self._poll()
            except Transient as error:
                log.warning("live events are delayed: %s", error)
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(POLL_S)

    async def _poll(self) -> None:
        if (known := self._known) is None:
            return  # the last subscriber has left
        try:
            events, after = await self._database.read(since, known, LIVE_TOPICS, BATCH)
            batch = Batch(tuple(events), after)
        except TooOld:
            batch = Batch((), await self._database.read(position), reset=True)
        if self._known is known:
            self._known = batch.position
        if batch.events or batch.reset:
            for subscriber in self._subscribers:
                subscriber.offer(batch)

    async def frames(
        self, after: Position | None, wanted: Collection[str], sees: Callable[[LiveEvent], bool], show: "Show"
    ) -> AsyncGenerator[bytes]:
        """Frames for one client until it is cut off. after: what it has already; None: everything until now."""
        now = await self._database.read(position)
        subscriber = Subscriber(wanted, sees, now if after is None else after)
        # What the common reader passes from here on is in the queue: nothing is between that and what was missed.
        self._known = self._known or now
        self._subscribers.add(subscriber)
        self._wanted.set()
        prometheus.LIVE_SUBSCRIBERS.set(len(self._subscribers))
        try:
            yield known(subscriber.position.encode())
            async for batch in self._batches(subscriber):
                if batch.reset:
                    subscriber.position = batch.position
                    yield frame(RESET, "{}", batch.position.encode())
                for event, at in subscriber.take(batch):
                    prometheus.LIVE_EVENTS.labels(topic=event.topic).inc()
                    yield frame(event.topic, json_line(to_plain(show(event))), at.encode())
                yield known(subscriber.position.encode())
        finally:
            self._subscribers.discard(subscriber)
            prometheus.LIVE_SUBSCRIBERS.set(len(self._subscribers))
            if not self._subscribers:
                self._wanted.clear()
                self._known = None

    async def _batches(self, subscriber: Subscriber) -> AsyncGenerator[Batch]:
        """What it missed, then what comes."""
        while True:
            try:
                events, reached = await self._database.read(since, subscriber.position, subscriber.wanted, BATCH)
            except TooOld:
                yield Batch((), await self._database.read(position), reset=True)
                break
            yield Batch(tuple(events), reached)
            if len(events) < BATCH:
                break
        while (batch := await subscriber.queue.get()) is not None:
            yield batch


Show = Callable[[LiveEvent], Mapping[str, object]]
"""What a client is shown of an event."""


def _later(one: Position, two: Position) -> Position:
    """The larger number of each partition; of another rebuild the second position alone."""
    if one.rebuild != two.rebuild:
        return two
    numbers = {at: max(one.numbers.get(at, 0), two.numbers.get(at, 0)) for at in {*one.numbers, *two.numbers}}
    return Position(numbers, two.rebuild)
