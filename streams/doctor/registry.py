"""Whether the schema registry answers, and has today's schemas."""

from typing import Any

from schemas.codec import schema_text
from schemas.schema_registry import HttpRegistry, subject_of
from schemas.topics import TOPICS, Topic
from streams.doctor.examination import Patient, in_thread
from streams.doctor.finding import Finding, failed, ok, skipped, together, warning

ANSWER_S = 4.0
REGISTRY = "schema registry"
"""What `answers` leaves in `Patient.known`."""


async def answers(patient: Patient) -> Finding:
    """SCHEMA_REGISTRY_URL leads to a registry that lets us in. Raises Transient and ConfigurationError otherwise."""
    url = patient.settings.schema_registry_url
    if fault := patient.fault_of("SCHEMA_REGISTRY_URL"):
        return failed(fault, "write http(s)://[user:password@]host[:port]")
    if url is None:
        return skipped("SCHEMA_REGISTRY_URL is not set: records use Avro single-object encoding")
    registry = HttpRegistry(url, ANSWER_S)
    subjects = await in_thread(registry.subjects)
    patient.known[REGISTRY] = registry
    return ok(f"answers, {len(subjects)} subjects")


async def subjects(patient: Patient) -> Finding:
    """Every topic's subject has today's schema, or takes it."""
    registry: HttpRegistry = patient.known[REGISTRY]
    return await in_thread(lambda: together(_subject(registry, topic) for topic in TOPICS))


def _subject(registry: HttpRegistry, topic: Topic) -> Finding:
    record: Any = topic.record
    subject, schema = subject_of(topic), schema_text(record)
    match registry.registration(subject, schema):
        case "registered":
            return ok("every subject has today's schema")
        case "compatible":
            return warning(f"{subject} does not have today's schema yet", "run `undertone topics create`")
        case "missing":
            return warning(f"{subject} is not registered", "run `undertone topics create`")
    return failed(
        f"{subject} has a schema that today's is incompatible with: writers are refused (409)",
        "look who registered it; delete the foreign version, or use a registry of its own",
    )
