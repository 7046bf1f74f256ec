"""Gives every service of a compose installation its rights on Kafka, as the table of `deploy/kafka/acls.md` says.

python -m deploy.compose.kafka_rights      # as the broker's administrator; compose runs it before the topics are made
"""

import sys
from dataclasses import replace

from confluent_kafka.admin import AdminClient

from deploy.compose.first_start import KAFKA_USERS
from deploy.kafka.acls import give
from schemas.errors import ConfigurationError
from schemas.permissions import Right, rights
from schemas.settings import Settings

OPERATES = ("submit", "alerts", "views", "dead-letters", "rescore", "doctor", "history", "audit", "consent")
"""What the operator's commands are to Kafka: they share one user."""
_OF_REGISTRY = {
    ("topic", "_schemas"): ("Create", "Describe", "DescribeConfigs", "AlterConfigs", "Read", "Write"),
    ("group", "undertone-registry"): ("Describe", "Read"),
}


def compose_rights() -> list[Right]:
    """Of every user that `first_start` gives a password, but for the administrator's."""
    table = [right for right in rights() if right.role in KAFKA_USERS]
    operator = [replace(right, role="operator") for right in rights() if right.role in OPERATES]
    registry = [Right("registry", *resource, each) for resource, allowed in _OF_REGISTRY.items() for each in allowed]
    return list(dict.fromkeys([*table, *operator, *registry]))


def administrator(settings: Settings) -> AdminClient:
    """The broker of the settings, as their user. Raises ConfigurationError without a broker or a password."""
    if settings.kafka_bootstrap is None or settings.kafka_password is None:
        raise ConfigurationError("KAFKA_BOOTSTRAP and UNDERTONE_KAFKA_PASSWORD are needed: run this as compose does")
    return AdminClient(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "security.protocol": settings.kafka_security,
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_password.get_secret_value(),
            "ssl.ca.location": str(settings.kafka_ca),
        }
    )


def main() -> int:
    """The command: 0, or the exit status of an error, which is printed."""
    try:
        give(administrator(Settings.load()), compose_rights())
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
