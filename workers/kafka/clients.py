"""Factories of Kafka clients, so that every process connects and delivers with the same options.

Whoever uses these clients writes and reads records in clear: what is sealed on the topics is so between them alone.
"""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from schemas.topics import TOPICS
from workers.kafka import record_batches
from workers.kafka.partitioner import Partitioner
from workers.kafka.sealed_clients import OpeningConsumer, SealingProducer
from workers.kafka.security import kafka_access
from workers.privacy.sealing import sealing_of

MAX_RECORD_BYTES = max(topic.max_bytes for topic in TOPICS)
"""Maximum record bytes of clients; each topic has its own lower limit."""
METADATA_AGE_S = 5.0
"""`metadata.max.age.ms`, in seconds (default: five minutes).

A broker that has just started may have no topics, and a group leader would then assign no partitions.
"""
COMMITTED = "read_committed"
"""`isolation.level` of every consumer: records of an aborted transaction were never written."""
UNAVAILABLE = (KafkaError, OSError, TimeoutError)
"""Errors of clients when the broker is unavailable; of KafkaError only the retriable ones mean that."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Connection options of every client. Raises ConfigurationError without a broker, or for unusable files."""
    if settings.kafka_bootstrap is None:
        raise ConfigurationError("no broker: set KAFKA_BOOTSTRAP, or run `undertone up` for an embedded one")
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "client_id": settings.instance or "undertone",
        **kafka_access(settings),
    }


def make_producer(settings: Settings, *, enters: bool = False) -> SealingProducer:
    """A producer that neither loses nor reorders records: idempotent, acknowledged by all in-sync replicas.

    It sends a record until it is acknowledged, however long that takes. enters: it sends memos at the moment at which
    people submit them, so that somebody who was erased returns.
    """
    return SealingProducer(
        sealing_of(settings),
        enters=enters,
        **client_options(settings),
        enable_idempotence=True,
        acks="all",
        partitioner=Partitioner(),
        linger_ms=5,
        max_request_size=MAX_RECORD_BYTES,
    )


def make_plain_producer(settings: Settings) -> AIOKafkaProducer:
    """As `make_producer`, for records that are sealed already, or are to stay as they are."""
    return AIOKafkaProducer(
        **client_options(settings), enable_idempotence=True, acks="all", max_request_size=MAX_RECORD_BYTES
    )


def make_expiring_producer(settings: Settings, within_s: float, *, enters: bool = False) -> SealingProducer:
    """A producer that gives a record up, for good, when all in-sync replicas have not acknowledged it in this time.

    For whoever has to know that a record was not taken. aiokafka lets no record of an idempotent producer expire,
    so this one may write a record twice: every effect of the record must be idempotent. enters: as `make_producer`.
    """
    return SealingProducer(
        sealing_of(settings),
        enters=enters,
        **client_options(settings),
        acks="all",
        partitioner=Partitioner(),
        linger_ms=5,
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=round(within_s * 1000),
    )


def make_consumer(settings: Settings, *topics: str, group: str, stage: str, enrols: bool = False) -> OpeningConsumer:
    """A member of `group` that starts with the oldest record and commits only explicitly.

    With `settings.instance` it is a static member: a restart within the session timeout keeps its partitions. stage: in
    metrics; enrols: whether people whose records come in clear get keys, where records are sealed.
    """
    record_batches.install()
    return OpeningConsumer(
        *topics,
        sealing=sealing_of(settings),
        stage=stage,
        enrols=enrols,
        **client_options(settings),
        isolation_level=COMMITTED,
        group_id=group,
        group_instance_id=f"{group}-{settings.instance}" if settings.instance else None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=int(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 3),
        rebalance_timeout_ms=int(rebalance_timeout_s(settings) * 1000),
        max_poll_interval_ms=int(settings.max_poll_interval_s * 1000),
        metadata_max_age_ms=int(METADATA_AGE_S * 1000),
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )


def rebalance_timeout_s(settings: Settings) -> float:
    """How long the group waits for a member to revoke its partitions: longer than its shutdown deadline."""
    return max(settings.session_timeout_s, settings.stop_deadline_s + 5.0)


def make_reader(settings: Settings, *topics: str, start: str = "earliest") -> OpeningConsumer:
    """A consumer outside any group: reads all partitions, commits nothing. start: `earliest` or `latest`."""
    record_batches.install()
    return OpeningConsumer(
        *topics,
        sealing=sealing_of(settings),
        stage=None,
        **client_options(settings),
        isolation_level=COMMITTED,
        group_id=None,
        auto_offset_reset=start,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )


def make_raw_reader(settings: Settings, *topics: str) -> AIOKafkaConsumer:
    """As `make_reader`, from the oldest record on and with records as they are on their topics, keys as well."""
    record_batches.install()
    return AIOKafkaConsumer(
        *topics,
        **client_options(settings),
        isolation_level=COMMITTED,
        group_id=None,
        auto_offset_reset="earliest",
        metadata_max_age_ms=int(METADATA_AGE_S * 1000),
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=20,
    )


def make_sampler(settings: Settings, *topics: str) -> AIOKafkaConsumer:
    """A consumer for single records, as they are on their topic: it fetches little else, and waits for no new ones."""
    record_batches.install()
    return AIOKafkaConsumer(
        *topics,
        **client_options(settings),
        isolation_level=COMMITTED,
        group_id=None,
        auto_offset_reset="earliest",
        # The broker returns the first requested record whole, however large.
        max_partition_fetch_bytes=64 * 1024,
        fetch_max_wait_ms=20,
    )
