"""A broker that does not let a client in, or not do what it must: trying again would not help."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import errors

from schemas.errors import BrokerRefused
from workers.kafka.security import TokenRefused

_ADVICE = {
    errors.TopicAuthorizationFailedError: "give it the rights to read its topic, and to write the topics that it feeds",
    errors.GroupAuthorizationFailedError: "give it the right to read as a member of its consumer group",
    errors.ClusterAuthorizationFailedError: "give it the right to write idempotently (IdempotentWrite on the cluster)",
    errors.TransactionalIdAuthorizationFailed: "give it the right to use its transactional id",
    errors.AuthenticationFailedError: "check the user, the password and the mechanism",
    errors.SaslAuthenticationFailed: "check the user and the password",
    errors.AuthenticationMethodNotSupported: "check the mechanism",
    errors.UnsupportedSaslMechanismError: "check the mechanism",
    errors.IllegalSaslStateError: "check whether this listener of the broker asks for a password at all",
}


def refusal(error: BaseException | None) -> BrokerRefused | None:
    """The error that ends the process, if `error` or what caused it is a refusal; None for anything else."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or "no reason given"
            return BrokerRefused(
                f"no encrypted connection to the broker ({reason}): check its certificate, UNDERTONE_KAFKA_CA, and "
                "whether this listener encrypts at all"
            )
        if isinstance(error, TokenRefused):
            return BrokerRefused(str(error.args[0]))
        for kind, advice in _ADVICE.items():
            if isinstance(error, kind):
                return BrokerRefused(f"the broker refuses this client ({kind.__name__}): {advice}")
        error = error.__cause__
    return None


@contextmanager
def refusals_stop() -> Iterator[None]:
    """Turns a refusal that is raised inside into BrokerRefused; other errors pass."""
    try:
        yield
    except errors.KafkaError as error:
        if refused := refusal(error):
            raise refused from error
        raise


def refused_topics(client: Any) -> set[str]:
    """Topics that the broker keeps from an aiokafka client, which only logs it and shows no partitions of them."""
    return set(client._client.cluster.unauthorized_topics)


def must_see(client: Any, *topics: str) -> None:
    """Raises TopicAuthorizationFailedError when the broker keeps one of these topics from the client."""
    if refused := refused_topics(client) & set(topics):
        raise errors.TopicAuthorizationFailedError(*sorted(refused))
