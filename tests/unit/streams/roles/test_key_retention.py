"""Keys of old months are destroyed by the history, once, recorded, and finished after whatever hindered it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.errors import Transient
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from schemas.key_purposes import LASTING, epoch_of, month_of
from schemas.settings import Settings
from schemas.topics import AUDIT
from streams.audit.reading import read_trail
from streams.audit.verify import Stored
from streams.local.embedded import EmbeddedKafka
from streams.roles.key_retention import KeyRetention
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.service import prometheus

NOW = datetime.now(UTC)
RETENTION = timedelta(days=100)
RETENTION_S = RETENTION.total_seconds()
MONTHS = range(epoch_of(NOW) - 8, epoch_of(NOW) + 1)
FIRST = epoch_of(NOW - RETENTION)
"""The first month with a day that is not that old."""


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedKafka([AUDIT.name]) as kafka:
        yield kafka.bootstrap


@pytest.fixture
def settings(bootstrap: str, tmp_path: Path) -> Settings:
    return sealing(tmp_path, kafka_bootstrap=bootstrap, keys_retention_s=RETENTION_S)


@pytest.fixture
def directory(settings: Settings) -> Iterator[KeyDirectory]:
    """With keys of somebody's last nine months."""
    opened = KeyDirectory.open(settings)
    subject = opened.enrol(["ann"])["ann"].id
    opened.make_keys([(subject, month) for month in MONTHS])
    yield opened
    opened.close()


def months_left(directory: KeyDirectory) -> list[int]:
    found = directory.epochs_of(directory.subjects_of(["ann"])["ann"].id)
    return [month for month in found if month != LASTING]


def overdue() -> float:
    return next(iter(prometheus.KEYS_OVERDUE.collect())).samples[0].value


async def recorded(settings: Settings) -> list[AuditEvent]:
    found: list[Stored] = []
    await read_trail(settings, lambda extent: extent.begins, found.append)
    return [Codec().decode(record.value, AuditEvent) for record in found]


async def test_what_is_due_is_recorded_and_destroyed_and_older_backups_open_nothing(
    settings: Settings, directory: KeyDirectory
) -> None:
    before, version = len(await recorded(settings)), directory.status().store_key
    retention = KeyRetention(settings, RETENTION_S)
    assert await retention.look(NOW) == FIRST - MONTHS[0]
    assert months_left(directory) == [month for month in MONTHS if month >= FIRST]
    assert directory.status().store_key == version + 1
    assert overdue() == 0
    assert await retention.look(NOW) == 0
    assert directory.status().store_key == version + 1, "where nothing is due nothing is done"
    (event,) = (await recorded(settings))[before:]
    assert (event.action, event.resource, event.role) == (AuditAction.ERASED, "keys.destroy-epochs", "service")
    assert event.reason == f"UNDERTONE_KEYS_RETENTION_S: months before {month_of(FIRST):%Y-%m}"
    month_later = NOW + timedelta(days=31)
    assert await retention.look(month_later) == epoch_of(month_later - RETENTION) - FIRST


async def test_what_cannot_be_recorded_is_not_destroyed_and_is_overdue(
    settings: Settings, directory: KeyDirectory
) -> None:
    away = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    with pytest.raises(Transient):
        await KeyRetention(away, RETENTION_S).look(NOW)
    assert len(months_left(directory)) == len(MONTHS)
    assert overdue() == FIRST - MONTHS[0]


async def test_a_rotation_that_failed_is_overdue_until_somebody_finishes_it(
    settings: Settings, directory: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = directory.status().store_key
    retention, other = KeyRetention(settings, RETENTION_S), KeyRetention(settings, RETENTION_S)

    def denied(_: KeyDirectory) -> None:
        raise Transient("the key service may not be asked")

    with monkeypatch.context() as patch:
        patch.setattr(KeyDirectory, "rotate_store_key", denied)
        with pytest.raises(Transient):
            await retention.look(NOW)
    assert await other.look(NOW) == 0
    assert overdue() == 1
    assert directory.status().store_key == version, "whoever destroyed the keys may be at it"
    await other.look(NOW)
    assert directory.status().store_key == version + 1
    await retention.look(NOW)
    assert (directory.status().store_key, overdue()) == (version + 1, 0)


async def test_without_a_key_directory_none_is_made(bootstrap: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert await KeyRetention(Settings(kafka_bootstrap=bootstrap, home=home), RETENTION_S).look(NOW) == 0
    assert not KeyDirectory.is_made(Settings(home=home))
