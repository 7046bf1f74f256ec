"""Authentication and authorization errors of the broker, which no retry resolves."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import errors

from schemas.errors import BrokerRefused
from workers.kafka.security import TokenRefused

_ADVICE = {
    errors.TopicAuthorizationFailedError: "grant permission to read its topic and to write its output topics",
    errors.GroupAuthorizationFailedError: "grant permission to read its consumer group",
    errors.ClusterAuthorizationFailedError: "grant permission for IdempotentWrite on the cluster",
    errors.TransactionalIdAuthorizationFailed: "grant permission to use its transactional id",
    errors.AuthenticationFailedError: "check the user, the password and the mechanism",
    errors.SaslAuthenticationFailed: "check the user and the password",
    errors.AuthenticationMethodNotSupported: "check the mechanism",
    errors.UnsupportedSaslMechanismError: "check the mechanism",
    errors.IllegalSaslStateError: "check whether this listener of the broker requires a password",
}


def refusal(error: BaseException | None) -> BrokerRefused | None:
    """The error that ends the process, if `error` or one of its causes is a refusal; None for anything else."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or "no reason given"
            return BrokerRefused(
                f"encrypted connection to the broker failed ({reason}): check its certificate, UNDERTONE_KAFKA_CA, "
                "and whether this listener uses encryption"
            )
        if isinstance(error, TokenRefused):
            return BrokerRefused(str(error.args[0]))
        for kind, advice in _ADVICE.items():
            if isinstance(error, kind) or _names(error, kind):
                return BrokerRefused(f"the broker refuses this client ({kind.__name__}): {advice}")
        error = error.__cause__
    return None


def _names(error: BaseException, kind: type[errors.KafkaError]) -> bool:
    """Whether `error` holds the text of a `kind`: aiokafka raises so what fails while offsets are fetched."""
    return type(error) is errors.KafkaError and error.args == (repr(kind()),)


@contextmanager
def refusals_stop() -> Iterator[None]:
    """Converts a refusal raised inside into BrokerRefused; other errors propagate."""
    try:
        yield
    except errors.KafkaError as error:
        if refused := refusal(error):
            raise refused from error
        raise


def refused_topics(client: Any) -> set[str]:
    """Topics that an aiokafka client has no permission for; it only logs this and returns no partitions of them."""
    return set(client._client.cluster.unauthorized_topics)


def must_see(client: Any, *topics: str) -> None:
    """Raises TopicAuthorizationFailedError when the client has no permission for one of these topics."""
    if refused := refused_topics(client) & set(topics):
        raise errors.TopicAuthorizationFailedError(*sorted(refused))
