"""Requests to a broker that has other versions of them."""

import pytest
from aiokafka.errors import IncompatibleBrokerVersion

from schemas.settings import Settings
from schemas.topics import UPLOADED
from streams.doctor.kafka.requests import BrokerConnection
from streams.local.embedded import EmbeddedKafka

METADATA, GROUPS = 3, 15


async def test_an_older_broker_is_described_without_permissions_and_says_so_of_groups() -> None:
    with EmbeddedKafka([UPLOADED.name]) as embedded:
        host, port = embedded.bootstrap.split(":")
        broker = BrokerConnection(Settings.load(kafka_bootstrap=embedded.bootstrap), host, int(port))
        await broker.open()
        try:
            broker._connection._versions |= {METADATA: (0, 5), GROUPS: (0, 1)}
            found = await broker.describe([UPLOADED.name])
            with pytest.raises(IncompatibleBrokerVersion):
                await broker.group_operations("any")
        finally:
            await broker.close()
    assert len(found.topics[UPLOADED.name].partitions) > 0
    assert found.topics[UPLOADED.name].operations is None
