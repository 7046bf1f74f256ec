"""Live events: what history stores, given to every subscriber once, in order, and again after a cut.

One task reads new rows for all subscribers. Each has a bounded queue; one that does not keep up is cut off, comes back
with the id of its last event, and reads what it missed from the database.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from schemas.errors import Transient
from schemas.json_records import json_line, to_plain
from streams.api.event_stream import frame, known
from streams.history.database import Database
from streams.history.live import LIVE_TOPICS, LiveEvent, Position, TooOld, position, since
from workers.service import prometheus

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Seconds between two looks at the database; each that finds anything costs one piece for every subscriber."""
WAITING = 64
"""Batches that may wait for one subscriber."""
BATCH = 500
"""Most events of a topic in one batch."""
TOGETHER = 64
"""Most events that are sent at once, some 16 KB: a slow client is not given more than it takes in time."""
RESET = "reset"
"""Name of the event after which a page has to be loaded again."""
AGAIN_S = 2.0

Show = Callable[[LiveEvent], Mapping[str, object]]
"""What a client is shown of an event. One function for all clients that are shown the same: its frames are shared."""


@dataclass(slots=True, eq=False)
class Batch:
    """New events, and the positions before and after them.

    reset: there may be others that can no longer be listed. Many subscribers take the same batch, so what an event is
    as text is worked out once.
    """

    events: tuple[LiveEvent, ...]
    before: Position
    position: Position
    reset: bool = False
    _lines: dict[Show, tuple[str, ...]] = field(default_factory=dict)
    _frames: dict[Show, Mapping[int, bytes]] = field(default_factory=dict)
    _end: bytes = b""

    def lines(self, show: Show) -> tuple[str, ...]:
        """The data of each event."""
        if show not in self._lines:
            self._lines[show] = tuple(json_line(to_plain(show(event))) for event in self.events)
        return self._lines[show]

    def frames(self, show: Show) -> Mapping[int, bytes]:
        """The frame of each event, by number, for a subscriber whose position is that before the batch."""
        if show not in self._frames:
            self._frames[show] = _framed(self, show, self.before, range(len(self.events)))
        return self._frames[show]

    def end(self) -> bytes:
        """What says that everything up to the end of the batch is known."""
        self._end = self._end or known(self.position.encode())
        return self._end


@dataclass(eq=False, slots=True)
class Subscriber:
    """One client. wanted: topics; sees: whether its viewer may see an event; position: what it has."""

    wanted: Collection[str]
    sees: Callable[[LiveEvent], bool]
    show: Show
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

    def take(self, batch: Batch) -> list[bytes]:
        """The frames of what is new to it in a batch and may be seen, each with its id, and the id of the end."""
        new = [number for number, event in enumerate(batch.events) if self._is_new(event)]
        if self.position == batch.before:
            frames = batch.frames(self.show)
            self.position, end = batch.position, batch.end()
        else:
            frames = _framed(batch, self.show, self.position, new)
            self.position = _later(self.position, batch.position)
            end = known(self.position.encode())
        return [*(frames[number] for number in new if self._shows(batch.events[number])), end]

    def _is_new(self, event: LiveEvent) -> bool:
        return event.seq > self.position.numbers.get((event.topic, event.partition), 0)

    def _shows(self, event: LiveEvent) -> bool:
        if shown := event.topic in self.wanted and self.sees(event):
            prometheus.LIVE_EVENTS.labels(topic=event.topic).inc()
        return shown


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
            batch = Batch(tuple(events), known, after)
        except TooOld:
            batch = Batch((), known, await self._database.read(position), reset=True)
        if self._known is known:
            self._known = batch.position
        if batch.events or batch.reset:
            for subscriber in self._subscribers:
                subscriber.offer(batch)

    async def frames(
        self, after: Position | None, wanted: Collection[str], sees: Callable[[LiveEvent], bool], show: Show
    ) -> AsyncGenerator[bytes]:
        """Frames for one client until it is cut off, several in a piece.

        after: what it has already; None: everything until now.
        """
        now = self._known
        # Many clients come back at once after a cut; they know their position, which saves a query each.
        if now is None or after is None:
            now = await self._database.read(position)
        subscriber = Subscriber(wanted, sees, show, now if after is None else after)
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
                frames = subscriber.take(batch)
                for first in range(0, len(frames), TOGETHER):
                    yield b"".join(frames[first : first + TOGETHER])
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
                now = await self._database.read(position)
                yield Batch((), subscriber.position, now, reset=True)
                break
            yield Batch(tuple(events), subscriber.position, reached)
            if len(events) < BATCH:
                break
        while (batch := await subscriber.queue.get()) is not None:
            yield batch


def _framed(batch: Batch, show: Show, position: Position, numbers: Iterable[int]) -> Mapping[int, bytes]:
    """Frames of some events of a batch, for a subscriber that is at `position` before the first."""
    lines, frames = batch.lines(show), {}
    for number in numbers:
        event = batch.events[number]
        position = position.after(event)
        frames[number] = frame(event.topic, lines[number], position.encode())
    return frames


def _later(one: Position, two: Position) -> Position:
    """The larger number of each partition; of another rebuild the second position alone."""
    if one.rebuild != two.rebuild:
        return two
    numbers = {at: max(one.numbers.get(at, 0), two.numbers.get(at, 0)) for at in {*one.numbers, *two.numbers}}
    return Position(numbers, two.rebuild)
