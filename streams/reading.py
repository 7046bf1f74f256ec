"""Reading a topic from outside any group, as a subscriber that keeps no position."""

from collections.abc import AsyncIterator
from typing import TypeVar

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import RiskAlert
from schemas.settings import Settings
from workers.broker import answered
from workers.kafka import make_reader
from workers.refusals import must_see, refusals_stop

R = TypeVar("R")


async def follow(
    settings: Settings, codec: Codec, topic: topics.Topic, record: type[R], *, from_start: bool, once: bool
) -> AsyncIterator[R]:
    """Records of a topic as they come; with `once`, only those that are there now. What does not decode is left out.

    Raises Transient when no broker answers, BrokerRefused when it refuses.
    """
    await answered(settings)
    reader = make_reader(settings, topic.name, start="earliest" if from_start else "latest")
    try:
        with refusals_stop():
            await reader.start()
            must_see(reader, topic.name)
        ends = await reader.end_offsets(list(reader.assignment())) if once else None
        while True:
            for records in (await reader.getmany(timeout_ms=200)).values():
                for each in records:
                    try:
                        yield codec.decode(each.value, record)
                    except DecodeError:
                        continue
            if ends is not None and all([await reader.position(at) >= end for at, end in ends.items()]):
                return
    finally:
        await reader.stop()


def follow_alerts(settings: Settings, codec: Codec, *, from_start: bool, once: bool) -> AsyncIterator[RiskAlert]:
    """The alerts, as `follow` gives them."""
    return follow(settings, codec, topics.ALERTS, RiskAlert, from_start=from_start, once=once)
