"""Purposes and epochs."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.key_purposes import LAST_EPOCH, TOPIC_PURPOSES, epoch_of, month_of
from schemas.topics import TOPICS


def test_every_topic_has_a_purpose_of_its_own() -> None:
    assert set(TOPIC_PURPOSES) == {topic.name for topic in TOPICS}
    assert len(set(TOPIC_PURPOSES.values())) == len(TOPIC_PURPOSES)


@pytest.mark.parametrize("epoch", [1, 12, 13, 323, 1200])
def test_an_epoch_is_a_month_of_utc(epoch: int) -> None:
    start = month_of(epoch)
    assert epoch_of(start) == epoch
    assert epoch_of(start - timedelta(microseconds=1)) == epoch - 1
    assert epoch_of(start.astimezone(timezone(timedelta(hours=-11)))) == epoch


def test_epochs_last_for_millennia() -> None:
    assert epoch_of(datetime(7461, 3, 1, tzinfo=UTC)) == LAST_EPOCH
