"""`topics describe` while a broker starts: one sentence instead of the client's exception."""

import asyncio
from typing import Any, Self

import pytest
from aiokafka.errors import GroupLoadInProgressError, KafkaError, NotCoordinatorForGroupError, UnknownError

from schemas.errors import Transient
from schemas.settings import Settings
from workers.kafka import admin


class Starting:
    """An observer of a broker that answers with an error."""

    def __init__(self, error: KafkaError) -> None:
        self._error = error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def backlog(self, *_: object) -> int:
        raise self._error

    size = backlog


def described(error: KafkaError, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(_: Settings) -> None: ...

    made: Any = lambda _: Starting(error)  # noqa: E731
    monkeypatch.setattr(admin, "answered", answered)
    monkeypatch.setattr(admin, "Observer", made)
    asyncio.run(admin.describe_topics(Settings.load()))


@pytest.mark.parametrize("error", [GroupLoadInProgressError(), NotCoordinatorForGroupError()])
def test_a_coordinator_that_loads_is_waited_for(error: KafkaError, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Transient, match=f"{type(error).__name__}.*run the command again"):
        described(error, monkeypatch)


def test_any_other_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownError):
        described(UnknownError(), monkeypatch)
