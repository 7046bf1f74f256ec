"""A batch that fails is split until the record that fails is alone."""

import logging
from collections.abc import Sequence

import pytest
from aiokafka.errors import MessageSizeTooLargeError, NotLeaderForPartitionError

from schemas.errors import Stop, Transient
from workers.consumer.isolation import isolated


class Work:
    """Fails on the records in `bad`, with `error`."""

    def __init__(self, bad: Sequence[int], error: Exception) -> None:
        self.bad, self.error = bad, error
        self.done: list[int] = []

    async def __call__(self, batch: Sequence[int]) -> None:
        if set(self.bad) & set(batch):
            raise self.error
        self.done += batch


@pytest.mark.parametrize("bad", [[0], [6], [3, 4], [0, 2, 4, 6]])
async def test_the_others_are_done_once_and_in_order(bad: list[int]) -> None:
    work = Work(bad, ValueError("a secret"))
    failed = await isolated(work, range(7), "fusion")
    assert work.done == [n for n in range(7) if n not in bad]
    assert [(record, poison.reason) for record, poison in failed] == [(n, "defect:ValueError") for n in bad]


async def test_a_record_too_large_for_the_broker_is_one_of_its_own() -> None:
    failed = await isolated(Work([1], MessageSizeTooLargeError()), range(3), "fusion")
    assert [record for record, _ in failed] == [1]


@pytest.mark.parametrize("error", [Transient("away"), Stop("no"), NotLeaderForPartitionError()])
async def test_what_no_record_causes_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        await isolated(Work([1], error), range(3), "fusion")


async def test_the_log_has_the_stack_and_nothing_of_the_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await isolated(Work([1], ValueError("a secret")), range(3), "fusion")
    assert "in __call__" in caplog.text
    assert "a secret" not in caplog.text
