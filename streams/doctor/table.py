"""The checks as one table, in the order in which they are printed: from this machine outwards."""

from streams.doctor import clock, environment, installation, model, redis_server, registry, storage
from streams.doctor.children import in_child
from streams.doctor.examination import Check, simple
from streams.doctor.kafka import broker, partitioner, permissions, topics

KAFKA, CONFIGURED, REDIS = ("Kafka connection",), ("topic configurations",), ("Redis connection",)

CHECKS: tuple[Check, ...] = (
    Check("Undertone", simple(installation.version)),
    Check("Python", simple(installation.python)),
    Check("libraries", simple(installation.libraries)),
    Check("settings", environment.settings),
    Check("variables", environment.variables),
    Check("home", simple(environment.home)),
    Check("sealing", simple(environment.sealing), limit_s=30.0),
    Check("metrics port", simple(environment.metrics_port)),
    Check("receivers", environment.receivers),
    Check("audio prefixes", storage.prefixes, limit_s=15.0),
    Check("Kafka address", broker.address),
    Check("Kafka connection", broker.connection, needs=("Kafka address",), limit_s=30.0),
    Check("Kafka listeners", broker.advertised, needs=KAFKA, limit_s=20.0),
    Check("topics", topics.exist, needs=KAFKA),
    Check("partitions", topics.partitions, needs=KAFKA),
    Check("topic configurations", topics.configurations, needs=KAFKA),
    Check("retention", topics.retention, needs=CONFIGURED),
    Check("cleanup policy", topics.cleanup, needs=CONFIGURED),
    Check("record time", topics.timestamps, needs=CONFIGURED),
    Check("message sizes", topics.message_sizes, needs=CONFIGURED),
    Check("replicas", topics.replication, needs=KAFKA, after=CONFIGURED),
    Check("permissions", permissions.permissions, needs=KAFKA, limit_s=20.0),
    Check("partitioner", partitioner.partitioner, needs=KAFKA, limit_s=25.0),
    Check("schema registry", registry.answers, limit_s=15.0),
    Check("subjects", registry.subjects, needs=("schema registry",), limit_s=30.0),
    Check("Redis connection", redis_server.connection, limit_s=15.0),
    Check("Redis server", redis_server.server, needs=REDIS),
    Check("Redis permissions", redis_server.permissions, needs=REDIS),
    Check("Redis eviction", redis_server.eviction, needs=REDIS),
    Check("Redis persistence", redis_server.persistence, needs=REDIS),
    Check("Redis memory", redis_server.memory, needs=REDIS),
    Check("clock", clock.clock, after=("partitioner", "Redis connection")),
    Check("decoding", in_child("decoding"), limit_s=60.0),
    Check("openSMILE", in_child("openSMILE"), limit_s=90.0),
    Check("bundle", in_child("bundle"), limit_s=60.0),
    Check("modalities", simple(model.modalities)),
    Check("encoder", in_child("encoder"), limit_s=240.0),
)
"""needs: names of rows above. Nothing here changes what it looks at, but for one key of Redis that is deleted again."""
