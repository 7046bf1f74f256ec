"""Clients that neither lose, nor reorder, nor commit by themselves."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from schemas.topics import TOPICS
from workers.kafka.clients import (
    MAX_RECORD_BYTES,
    METADATA_AGE_S,
    client_options,
    make_consumer,
    make_expiring_producer,
    make_producer,
    make_reader,
    make_sampler,
    rebalance_timeout_s,
)

SETTINGS = Settings.load(kafka_bootstrap="127.0.0.1:1", session_timeout_s=9.0, stop_deadline_s=30.0)
NAMED = SETTINGS.model_copy(update={"instance": "acoustic-0"})


def test_without_a_broker_the_message_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP"):
        client_options(Settings.load(kafka_bootstrap=None))


def test_a_client_is_named_after_its_process_and_carries_the_access_of_the_settings() -> None:
    assert client_options(SETTINGS) == {"bootstrap_servers": "127.0.0.1:1", "client_id": "undertone"}
    secured = {"kafka_security": "SASL_PLAINTEXT", "kafka_mechanism": "PLAIN", "kafka_user": "u", "kafka_password": "p"}
    options = client_options(Settings.load(kafka_bootstrap="127.0.0.1:1", instance="acoustic-0", **secured))
    assert (options["client_id"], options["sasl_plain_username"]) == ("acoustic-0", "u")
    with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_CA"):
        client_options(Settings.load(kafka_bootstrap="a:1", kafka_security="SSL", kafka_ca=Path("none.pem")))


@pytest.mark.parametrize(("session_s", "deadline_s", "expected_s"), [(45.0, 8.0, 45.0), (6.0, 8.0, 13.0)])
def test_the_group_waits_longer_for_a_member_than_it_may_take_to_finish(
    session_s: float, deadline_s: float, expected_s: float
) -> None:
    settings = Settings.load(session_timeout_s=session_s, stop_deadline_s=deadline_s)
    assert rebalance_timeout_s(settings) == expected_s


async def test_a_member_starts_with_the_oldest_record_and_commits_only_by_hand() -> None:
    consumer = make_consumer(SETTINGS, group="undertone-acoustic", stage="acoustic")
    try:
        assert consumer._auto_offset_reset == "earliest"
        assert not consumer._enable_auto_commit
        assert (consumer._session_timeout_ms, consumer._heartbeat_interval_ms) == (9000, 3000)
        assert consumer._rebalance_timeout_ms == 35_000
        assert consumer._max_poll_interval_ms == SETTINGS.max_poll_interval_s * 1000
        assert consumer._client._metadata_max_age_ms == METADATA_AGE_S * 1000
    finally:
        await consumer.stop()


async def test_a_process_with_a_name_keeps_its_place_in_each_group() -> None:
    clients = [
        make_consumer(settings, group=group, stage=group) for settings in (SETTINGS, NAMED) for group in ("one", "two")
    ]
    try:
        assert [client._group_instance_id for client in clients] == [None, None, "one-acoustic-0", "two-acoustic-0"]
    finally:
        for client in clients:
            await client.stop()


async def test_a_producer_waits_for_every_replica_and_numbers_its_records() -> None:
    producer = make_producer(SETTINGS)
    try:
        assert producer._txn_manager is not None, "records that are not numbered may be written twice"
        assert producer._sender._acks == -1
    finally:
        await producer.stop()


async def test_an_expiring_producer_waits_for_every_replica_too() -> None:
    producer = make_expiring_producer(SETTINGS, 10.0)
    try:
        assert producer._sender._acks == -1
        assert producer._txn_manager is None, "records of an idempotent producer never expire"
    finally:
        await producer.stop()


async def test_readers_join_no_group() -> None:
    readers = [make_reader(SETTINGS, "a", start="latest"), make_reader(SETTINGS, "a"), make_sampler(SETTINGS, "a")]
    try:
        assert [reader._group_id for reader in readers] == [None] * 3
        assert [reader._auto_offset_reset for reader in readers] == ["latest", "earliest", "earliest"]
    finally:
        for reader in readers:
            await reader.stop()


async def test_a_sampler_fetches_little_besides_its_record_and_does_not_wait_for_more() -> None:
    sampler, reader = make_sampler(SETTINGS, "a"), make_reader(SETTINGS, "a")
    try:
        assert sampler._max_partition_fetch_bytes == 2**16 < reader._max_partition_fetch_bytes
        assert sampler._fetch_max_wait_ms < reader._fetch_max_wait_ms
    finally:
        await sampler.stop()
        await reader.stop()


async def test_every_client_takes_the_largest_record_of_any_topic() -> None:
    assert max(topic.max_bytes for topic in TOPICS) == MAX_RECORD_BYTES
    producer, consumer = make_producer(SETTINGS), make_consumer(SETTINGS, group="one", stage="one")
    try:
        assert producer._max_request_size == consumer._max_partition_fetch_bytes == MAX_RECORD_BYTES
    finally:
        await producer.stop()
        await consumer.stop()
