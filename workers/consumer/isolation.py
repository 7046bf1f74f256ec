"""Finds the record that a batch fails on: any error but a known one belongs to a record until it is shown not to.

A batch that fails is split in halves, until the record that fails is alone; it is tried once more, then it becomes a
dead letter with the reason `defect:` and the type of its exception. The others are processed. A fault of the program or
its servers fails for every record: the cap on dead letters ends the process.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka.errors import (
    InvalidMessageError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from schemas.errors import Poison
from workers.consumer.defects import defect, unexpected

log = logging.getLogger(__name__)

T = TypeVar("T")

OF_RECORDS = (
    InvalidMessageError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
"""The broker's errors that another record may not cause."""


def of_record(error: Exception) -> bool:
    """Whether a record may have caused this error; False for what a retry, an operator or a restart resolves."""
    return isinstance(error, OF_RECORDS) or (unexpected(error) and not isinstance(error, KafkaError))


async def attempted(work: Callable[[], Awaitable[T]], stage: str) -> T | Poison:
    """The result of work on one record, or why the program fails on it: it is done again once. Raises as `isolated`."""
    try:
        return await work()
    except Exception as error:
        if not of_record(error):
            raise
    try:
        return await work()
    except Exception as error:
        if not of_record(error):
            raise
        return defect(error, stage)


async def isolated(
    work: Callable[[Sequence[T]], Awaitable[None]], batch: Sequence[T], stage: str
) -> list[tuple[T, Poison]]:
    """Do `work` for all records but those that it fails on, in order; returns these and why.

    Raises what no record causes: Transient, Stop and errors of the broker.
    """
    if len(batch) == 1:
        failed = await attempted(lambda: work(batch), stage)
        return [] if failed is None else [(batch[0], failed)]
    try:
        await work(batch)
    except Exception as error:
        if not of_record(error):
            raise
        log.warning("%s: unhandled exception in a batch, records=%d: %s", stage, len(batch), type(error).__name__)
        half = len(batch) // 2
        return await isolated(work, batch[:half], stage) + await isolated(work, batch[half:], stage)
    return []
