"""Requests to one Kafka broker over one connection, without a client's retries and without creating topics.

Sources: Apache Kafka protocol, "Metadata" version 8 and "DescribeGroups" version 3 (KIP-430, authorized operations).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, NoError, for_code
from aiokafka.protocol.admin import DescribeConfigsRequest, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from schemas.settings import Settings
from workers.kafka.clients import client_options

ANSWER_S = 5.0
"""Timeout of connecting and of each request: an idle broker answers within milliseconds."""
NOT_GIVEN = -(2**31)
"""Authorized operations that the broker did not report."""
OPERATIONS = {3: "Read", 4: "Write", 5: "Create", 8: "Describe", 10: "DescribeConfigs"}
"""Operations by their bit, as far as our permissions name them (`AclOperation` of Kafka)."""
TOPIC = 2
"""Type of a resource that has a configuration."""


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String()), ("port", Int32), ("rack", String()))),
        ("cluster_id", String()),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String()),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String())),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]  # aiokafka has no types
    """Named topics with what this user may do; creates none."""

    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._names, False, False, True)


class _GroupsStruct(RequestStruct):  # type: ignore[misc]
    """DescribeGroups with its own answer: aiokafka 0.14 reads it as one of version 2, without the operations."""

    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String())), ("include_authorized_operations", Boolean))


class _Groups(Request[_GroupsStruct]):  # type: ignore[misc]
    """Groups with what this user may do."""

    API_KEY = 15

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_GroupsStruct]) -> _GroupsStruct:
        return request_struct_class(self._names, True)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: replicas and how many of them are in sync; error: of the broker, None without one."""

    number: int
    leader: int
    replicas: int
    in_sync: int
    error: type[KafkaError] | None


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """One topic. error: why the broker does not show it; operations: what this user may do, None if not reported."""

    name: str
    error: type[KafkaError] | None
    partitions: tuple[Partition, ...]
    operations: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """brokers: address by node, as they advertise it; topics by name."""

    brokers: Mapping[int, tuple[str, int]]
    topics: Mapping[str, FoundTopic]


class BrokerConnection:
    """One connection to one broker. Raises what aiokafka raises, and TimeoutError."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        options = client_options(settings)
        options.pop("bootstrap_servers")
        self._connection = AIOKafkaConnection(host, port, request_timeout_ms=int(ANSWER_S * 1000), **options)

    async def open(self) -> None:
        """Connect, with encryption and authentication as the settings say."""
        async with asyncio.timeout(ANSWER_S):
            await self._connection.connect()

    async def close(self) -> None:
        """Close the connection; waits half a second at most."""
        if closing := self._connection.close():
            await asyncio.wait([closing], timeout=0.5)

    async def describe(self, names: Iterable[str]) -> Cluster:
        """The brokers, and these topics."""
        wanted = list(names)
        try:
            answer = await self._send(_Metadata(wanted))
        except IncompatibleBrokerVersion:
            answer = await self._send(MetadataRequest(wanted, allow_auto_topic_creation=False))
        return Cluster(
            {node: (host, port) for node, host, port, *_ in answer.brokers},
            {topic[1]: _topic(topic) for topic in answer.topics},
        )

    async def configurations(self, names: Iterable[str]) -> Mapping[str, Mapping[str, str] | type[KafkaError]]:
        """The configuration of each topic, or why this user does not get it."""
        answer = await self._send(DescribeConfigsRequest([(TOPIC, name, None) for name in names]))
        return {
            name: _error(code) or {entry[0]: entry[1] for entry in entries}
            for code, _, _, name, entries in answer.resources
        }

    async def coordinator(self, group: str) -> tuple[str, int]:
        """The address of a group's coordinator. Raises the broker's error."""
        answer = await self._send(FindCoordinatorRequest(group, 0))
        if error := _error(answer.error_code):
            raise error
        return answer.host, answer.port

    async def group_operations(self, group: str) -> frozenset[str] | None:
        """What this user may do with a group; None where the broker does not report it. Raises its error."""
        answer = await self._send(_Groups([group]))
        (found,) = answer.groups
        if error := _error(found[0]):
            raise error
        return _operations(found[-1])

    async def _send(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._connection.send(request)
        except NotImplementedError as error:  # aiokafka's word for a broker that has other versions of the request
            raise IncompatibleBrokerVersion(str(error)) from error


def _topic(found: Any) -> FoundTopic:
    code, name, _, partitions, *operations = found
    # In every version the first three fields of a partition are these, and replicas and in-sync ones come before the
    # offline ones, if they come.
    places = [
        Partition(each[1], each[2], len(lists[0]), len(lists[1]), _error(each[0]))
        for each in partitions
        for lists in [[part for part in each if isinstance(part, list)]]
    ]
    places.sort(key=lambda place: place.number)
    return FoundTopic(name, _error(code), tuple(places), _operations(operations[0]) if operations else None)


def _operations(bits: int) -> frozenset[str] | None:
    if bits == NOT_GIVEN:
        return None
    return frozenset(name for bit, name in OPERATIONS.items() if bits >> bit & 1)


def _error(code: int) -> type[KafkaError] | None:
    found: type[KafkaError] = for_code(code)
    return None if found is NoError else found
