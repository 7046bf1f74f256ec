"""The topics on the broker against the table of topics: partitions, retention, clean-up, sizes, replicas."""

from collections.abc import Callable, Mapping

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from schemas.environment import variable
from schemas.keeping_settings import retention_of
from schemas.settings import Settings
from schemas.topics import TOPICS, Topic, segment_of
from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, Status, failed, ok, skipped, together, warning
from streams.doctor.kafka.broker import CLUSTER, CONNECTION
from streams.doctor.kafka.requests import BrokerConnection, Cluster, FoundTopic
from workers.kafka.clients import MAX_RECORD_BYTES

CONFIGURATIONS = "topic configurations"
"""What `configurations` leaves in `Patient.known`."""
CREATE = "run `undertone topics create`"
DAY_MS = 86_400_000
FOR_EVER = -1

Configuration = Mapping[str, str]


async def exist(patient: Patient) -> Finding:
    """Every topic is there and has leaders."""
    return together(_exists(topic, patient.known[CLUSTER].topics.get(topic.name)) for topic in TOPICS)


def _exists(topic: Topic, found: FoundTopic | None) -> Finding:
    if found is None or found.error is UnknownTopicOrPartitionError:
        return failed(f"{topic.name} does not exist", CREATE)
    if found.error is TopicAuthorizationFailedError:
        return skipped(f"this user may not see {topic.name}", "run it as the user of a role, or of `doctor`")
    if found.error is not None:
        return warning(f"{topic.name}: the broker answers {found.error.__name__}", "look again in a minute")
    leaderless = [place.number for place in found.partitions if place.leader < 0 or place.error is not None]
    if leaderless:
        return failed(
            f"{topic.name} has no leader for partition {', '.join(map(str, leaderless))}", "start the missing brokers"
        )
    return ok("all topics exist")


async def partitions(patient: Patient) -> Finding:
    """Every topic has as many partitions as the others."""
    counts = {found.name: len(found.partitions) for found in _visible(patient)}
    if not counts:
        return skipped("no topic can be seen")
    text = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len(set(counts.values())) > 1:
        return failed(
            f"partitions are unequal: {text}",
            f"give all topics {max(counts.values())} (docs/operations.md, Partitions): a user must lie on the same "
            "partition of every topic",
        )
    count, asked = next(iter(counts.values())), patient.settings.partitions
    if count != asked and "partitions" in patient.settings.model_fields_set:
        return warning(f"every topic has {count}, and {variable('partitions')} is {asked}", "set it to what there is")
    return ok(f"{count} of every topic")


async def configurations(patient: Patient) -> Finding:
    """The broker shows the topics' configurations to this user."""
    broker: BrokerConnection = patient.known[CONNECTION]
    names = [found.name for found in _visible(patient)]
    if not names:
        return skipped("no topic can be seen")
    try:
        found = await broker.configurations(names)
    except KafkaError as error:
        if patient.embedded:
            return skipped("the embedded broker has no configurations")
        return skipped(f"the broker does not show configurations ({type(error).__name__})")
    patient.known[CONFIGURATIONS] = {name: each for name, each in found.items() if isinstance(each, Mapping)}
    if refused := [name for name, each in found.items() if not isinstance(each, Mapping)]:
        return skipped(
            f"this user may not see the configuration of {', '.join(refused)}",
            "grant DescribeConfigs on the topics, or run it as the user of `doctor` (deploy/kafka/acls.md)",
        )
    return ok(f"of {len(found)} topics")


def _of_each(look: Callable[[Topic, Configuration], Finding]) -> Callable[[Patient], Finding]:
    """A check of the configuration of every topic, together."""

    def check(patient: Patient) -> Finding:
        known: Mapping[str, Configuration] = patient.known[CONFIGURATIONS]
        return together(look(topic, known[topic.name]) for topic in TOPICS if topic.name in known)

    return check


def _retention(topic: Topic, found: Configuration, settings: Settings) -> Finding:
    if topic.compacted:
        return _kept_by_size(topic, found)
    retention = retention_of(topic, settings)
    needed_ms, given_ms = int(retention.total_seconds() * 1000), int(found["retention.ms"])
    if FOR_EVER < given_ms < needed_ms:
        return failed(
            f"{topic.name} keeps records for {given_ms / DAY_MS:.3g} days, not {needed_ms / DAY_MS:.3g}",
            f"set retention.ms={needed_ms} on {topic.name} (kafka-configs.sh --alter)",
        )
    if topic.setting is not None and topic.setting in settings.model_fields_set and needed_ms != given_ms:
        return failed(
            f"{topic.name} keeps records for longer than {variable(topic.setting)} says, {needed_ms / DAY_MS:.3g} days",
            f"set retention.ms={needed_ms} on {topic.name} (kafka-configs.sh --alter)",
        )
    by_size = _kept_by_size(topic, found)
    if by_size.status is not Status.OK:
        return by_size
    segment_ms, longest_ms = int(found.get("segment.ms", 0)), int(segment_of(retention).total_seconds() * 1000)
    if segment_ms > longest_ms:
        return warning(
            f"{topic.name} deletes records up to {segment_ms / DAY_MS:.3g} days after their retention, when a segment "
            "of its log is full",
            f"set segment.ms={longest_ms} on {topic.name}",
        )
    return ok("every topic keeps its records as long as it should")


def _kept_by_size(topic: Topic, found: Configuration) -> Finding:
    limit = int(found.get("retention.bytes", FOR_EVER))
    if limit > FOR_EVER:
        return warning(
            f"{topic.name} keeps at most {limit:,} bytes per partition, whatever its time",
            f"set retention.bytes=-1 on {topic.name}, unless the disk forbids it",
        )
    return ok("every topic keeps its records as long as it should")


def _cleanup(topic: Topic, found: Configuration) -> Finding:
    policy = found["cleanup.policy"]
    if topic.compacted:
        return _compacted(topic, policy)
    if "compact" in policy:
        return failed(
            f"{topic.name} is compacted (cleanup.policy={policy}): all but the last record of a user go",
            f"set cleanup.policy=delete on {topic.name}",
        )
    return ok("topics delete what is old, and keep what holds")


def _compacted(topic: Topic, policy: str) -> Finding:
    """The last record of each person must outlast every retention."""
    if policy == "compact":
        return ok("topics delete what is old, and keep what holds")
    return failed(
        f"{topic.name} forgets what people said (cleanup.policy={policy}): memos of who withdrew would be read again",
        f"set cleanup.policy=compact on {topic.name} (kafka-configs.sh --alter)",
    )


def _timestamps(topic: Topic, found: Configuration) -> Finding:
    if found.get("message.timestamp.type", "LogAppendTime") != "LogAppendTime":
        return warning(
            f"{topic.name} keeps the producer's time (message.timestamp.type={found['message.timestamp.type']})",
            "set message.timestamp.type=LogAppendTime: a producer's wrong clock makes records expire at once, or never",
        )
    return ok("the broker's clock stamps every record")


def _sizes(topic: Topic, found: Configuration) -> Finding:
    given, needed = int(found["max.message.bytes"]), topic.max_bytes
    if given < needed:
        return failed(
            f"{topic.name} takes messages of {given:,} bytes, and its records may have {needed:,}",
            f"set max.message.bytes={needed} on {topic.name}",
        )
    if given > MAX_RECORD_BYTES:
        return warning(
            f"{topic.name} takes messages of {given:,} bytes, and clients send none above {MAX_RECORD_BYTES:,}",
            f"set max.message.bytes={needed} on {topic.name}: larger records of others become dead letters",
        )
    return ok("every topic takes records as large as they may be")


async def retention(patient: Patient) -> Finding:
    """No topic forgets before a stage could have read."""
    settings: Settings = patient.settings
    return _of_each(lambda topic, found: _retention(topic, found, settings))(patient)


async def cleanup(patient: Patient) -> Finding:
    """Every topic is cleaned up as its table says."""
    return _of_each(_cleanup)(patient)


async def timestamps(patient: Patient) -> Finding:
    """Records carry the broker's time."""
    return _of_each(_timestamps)(patient)


async def message_sizes(patient: Patient) -> Finding:
    """Every topic takes the largest record that it may get, and brokers can copy it."""
    return _of_each(_sizes)(patient)


async def replication(patient: Patient) -> Finding:
    """Replicas against `min.insync.replicas` and against the settings."""
    known: Mapping[str, Configuration] = patient.known.get(CONFIGURATIONS, {})
    cluster: Cluster = patient.known[CLUSTER]
    return together(
        _replicas(found, known.get(found.name, {}), len(cluster.brokers), patient.settings.replication)
        for found in _visible(patient)
    )


def _replicas(found: FoundTopic, configuration: Configuration, brokers: int, asked: int) -> Finding:
    replicas = min(place.replicas for place in found.partitions)
    in_sync = min(place.in_sync for place in found.partitions)
    needed = int(configuration.get("min.insync.replicas", 1))
    if in_sync < needed:
        more = "raise the replicas of the topic" if replicas < needed else "start the missing brokers"
        return failed(
            f"{found.name} has {in_sync} replicas in sync of {replicas}, and min.insync.replicas={needed}: it takes no "
            "records",
            f"{more}, or lower min.insync.replicas",
        )
    if in_sync < replicas:
        return warning(f"{found.name} has {in_sync} of {replicas} replicas in sync", "look at the brokers that lag")
    if replicas < asked:
        return warning(
            f"{found.name} has {replicas} replicas, and {variable('replication')} is {asked}",
            "reassign its partitions (kafka-reassign-partitions.sh)",
        )
    if replicas > 1 and replicas == needed:
        return warning(
            f"{found.name} has {replicas} replicas and min.insync.replicas={needed}: one broker that restarts stops it",
            "set min.insync.replicas below the number of replicas",
        )
    if replicas == 1 and brokers > 1:
        return warning(
            f"{found.name} has one replica on {brokers} brokers: it is gone with one of them",
            "set UNDERTONE_REPLICATION before `undertone topics create`; reassign what exists",
        )
    return ok(f"{replicas} replica{'s' if replicas > 1 else ''} of every topic, min.insync.replicas={needed}")


def _visible(patient: Patient) -> list[FoundTopic]:
    """The topics that exist and that this user may see, in the order of the pipeline."""
    cluster: Cluster = patient.known[CLUSTER]
    named = [cluster.topics[topic.name] for topic in TOPICS if topic.name in cluster.topics]
    return [found for found in named if found.error is None and found.partitions]
