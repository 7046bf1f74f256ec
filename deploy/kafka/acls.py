"""The rights in acls.md, given to a broker, or printed as commands of Kafka's tool: `python deploy/kafka/acls.py`."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.channels import CHANNELS

PAGE = Path(__file__).with_name("acls.md")
_RESOURCES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


@dataclass(frozen=True, slots=True)
class Right:
    """One operation that one role may do on one topic or group."""

    role: str
    resource: str
    name: str
    operation: str


def rights(page: Path = PAGE) -> list[Right]:
    """All rights, in the order of the table; a row whose name has `{channel}` in it is one for each channel."""
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in page.read_text().splitlines()]
    table = [row for row in rows if len(row) == 4 and row[1] in _RESOURCES]
    return [
        Right(role, resource, name, operation)
        for role, resource, pattern, operations in table
        for name in dict.fromkeys(pattern.format(channel=channel.name) for channel in CHANNELS)
        for operation in operations.split(", ")
    ]


def give(admin: AdminClient, given: Iterable[Right]) -> None:
    """Give rights to users that are named as the roles are; returns when the broker has them."""
    for future in admin.create_acls([AclBinding(*_described(right)) for right in given]).values():
        future.result(timeout=30)


def take(admin: AdminClient, taken: Iterable[Right]) -> None:
    """Take rights away again."""
    filters = [AclBindingFilter(*_described(right)) for right in taken]
    for future in admin.delete_acls(filters).values():
        future.result(timeout=30)


def _described(right: Right) -> tuple[Any, ...]:
    return (
        _RESOURCES[right.resource],
        right.name,
        ResourcePatternType.LITERAL,
        f"User:{right.role}",
        "*",
        AclOperation[right.operation.upper()],
        AclPermissionType.ALLOW,
    )


def main() -> int:
    """The command: one line a right, for users that are named as the roles are."""
    for right in rights():
        print(
            f"kafka-acls.sh --bootstrap-server $KAFKA_BOOTSTRAP --command-config admin.properties --add "
            f"--allow-principal User:{right.role} --operation {right.operation} --{right.resource} {right.name}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
