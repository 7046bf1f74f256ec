"""Whether this user may do on Kafka what a role does."""

import asyncio
from collections.abc import Mapping

from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from schemas.channels import CHANNELS, bridge_group
from schemas.permissions import Right, rights
from schemas.pipeline import feature_stages
from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, failed, ok, skipped
from streams.doctor.kafka.broker import CLUSTER, CONNECTION
from streams.doctor.kafka.requests import BrokerConnection, Cluster

SERVICES = ("agents", "bridge")
"""Roles that run in production, in addition to the workers of the modalities."""
IMPLIED = {"Describe": frozenset({"Read", "Write"})}
"""Operations that include another one."""
NOWHERE: frozenset[str] = frozenset()

Operations = Mapping[tuple[str, str], frozenset[str] | None]
"""What this user may do, by kind and name of the resource; None where the broker does not report it."""


async def permissions(patient: Patient) -> Finding:
    """The role that is asked for may do everything; without one, this user may do everything of some role."""
    wanted = _wanted(patient)
    allowed = await _allowed(patient, wanted)
    if all(operations is None for operations in allowed.values()):
        return skipped("the broker does not report permissions")
    lacking = {role: _lacking(of_role, allowed) for role, of_role in wanted.items()}
    able = [role for role, missing in lacking.items() if not missing]
    if able:
        return ok(f"this user may do all that {', '.join(able)} needs")
    # Most likely it is meant for the role of which it may do the largest part.
    role = min(lacking, key=lambda name: len(lacking[name]) / len(wanted[name]))
    missing = ", ".join(f"{right.operation} on {right.resource} {right.name}" for right in lacking[role])
    return failed(
        f"this user may not do all that {role} needs; missing: {missing}",
        "grant it (deploy/kafka/acls.md; `python deploy/kafka/acls.py` prints the commands)",
    )


def _wanted(patient: Patient) -> dict[str, list[Right]]:
    """The permissions of each role in question."""
    roles = [patient.role] if patient.role else [*_workers(patient), *SERVICES]
    addressed = {bridge_group(channel.name) for channel in CHANNELS if getattr(patient.settings, channel.setting)}
    optional = {bridge_group(channel.name) for channel in CHANNELS} - addressed
    return {role: [right for right in rights() if right.role == role and right.name not in optional] for role in roles}


def _workers(patient: Patient) -> list[str]:
    return [stage.name for stage in feature_stages(patient.settings.modalities)]


def _lacking(wanted: list[Right], allowed: Operations) -> list[Right]:
    missing = []
    for right in wanted:
        operations = allowed[right.resource, right.name]
        enough = {right.operation} | IMPLIED.get(right.operation, NOWHERE)
        if operations is not None and not operations & enough:
            missing.append(right)
    return missing


async def _allowed(patient: Patient, wanted: Mapping[str, list[Right]]) -> dict[tuple[str, str], frozenset[str] | None]:
    cluster: Cluster = patient.known[CLUSTER]
    named = dict.fromkeys((right.resource, right.name) for each in wanted.values() for right in each)
    found: dict[tuple[str, str], frozenset[str] | None] = {}
    for _, name in (each for each in named if each[0] == "topic"):
        topic = cluster.topics.get(name)
        hidden = topic is not None and topic.error is TopicAuthorizationFailedError
        found["topic", name] = NOWHERE if hidden else None if topic is None or topic.error else topic.operations
    groups = [name for resource, name in named if resource == "group"]
    answers = await asyncio.gather(*(_group(patient, name) for name in groups))
    return found | {("group", name): answer for name, answer in zip(groups, answers, strict=True)}


async def _group(patient: Patient, name: str) -> frozenset[str] | None:
    """What this user may do with a group, as its coordinator says."""
    broker: BrokerConnection = patient.known[CONNECTION]
    try:
        coordinator = BrokerConnection(patient.settings, *await broker.coordinator(name))
        try:
            await coordinator.open()
            return await coordinator.group_operations(name)
        finally:
            await coordinator.close()
    except GroupAuthorizationFailedError:
        return NOWHERE
    except (KafkaError, OSError):
        return None
