"""A refusal ends the process with what to do; anything else is left to be retried."""

import ssl
from types import SimpleNamespace

import pytest
from aiokafka import errors

from schemas.errors import BrokerRefused
from workers.kafka.authorization_errors import must_see, refusal, refusals_stop, refused_topics
from workers.kafka.security import TokenRefused


def caused(error: Exception, *causes: BaseException) -> Exception:
    """The error, with what caused it and what caused that."""
    at: BaseException = error
    for cause in causes:
        at.__cause__ = cause
        at = cause
    return error


def answered_in_plain_text() -> ssl.SSLError:
    """What a client sees that greets a listener with TLS which does not speak it."""
    received = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(received, ssl.MemoryBIO(), server_hostname="broker")
    received.write(b"HTTP/1.1 400 Bad Request")
    with pytest.raises(ssl.SSLError) as error:
        client.do_handshake()
    return error.value


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errors.TopicAuthorizationFailedError("memos.uploaded"), "read its topic"),
        (errors.GroupAuthorizationFailedError("group"), "consumer group"),
        (errors.ClusterAuthorizationFailedError(), "IdempotentWrite"),
        (errors.TransactionalIdAuthorizationFailed(), "transactional id"),
        (errors.SaslAuthenticationFailed(), "check the user"),
        (errors.UnsupportedSaslMechanismError(), "check the mechanism"),
        (errors.IllegalSaslStateError(), "requires a password"),
        (TokenRefused("UNDERTONE_KAFKA_TOKEN_FILE: no token can be read from it"), "TOKEN_FILE"),
        (answered_in_plain_text(), "UNDERTONE_KAFKA_CA"),
    ],
)
def test_a_refusal_says_what_to_do_however_deep_it_lies(error: Exception, advice: str) -> None:
    for raised in (error, caused(errors.KafkaConnectionError("x"), OSError(), error)):
        refused = refusal(raised)
        assert isinstance(refused, BrokerRefused)
        assert advice in str(refused)


def test_a_certificate_that_does_not_hold_is_named_by_its_fault() -> None:
    expired = ssl.SSLCertVerificationError("x")
    expired.verify_message = "certificate has expired"
    assert "(certificate has expired)" in str(refusal(expired))


def test_a_listener_without_tls_is_hinted_at() -> None:
    assert "(WRONG_VERSION_NUMBER)" in str(refusal(answered_in_plain_text()))


def test_a_refusal_names_no_topic_and_no_group() -> None:
    assert "of-clinic-7" not in str(refusal(errors.GroupAuthorizationFailedError("group-of-clinic-7")))


@pytest.mark.parametrize("error", [None, OSError(), errors.KafkaConnectionError("away"), ValueError("a defect")])
def test_what_is_no_refusal_is_none(error: Exception | None) -> None:
    assert refusal(error) is None


def test_inside_the_block_a_refusal_becomes_a_stop_and_keeps_its_cause() -> None:
    cause = errors.TopicAuthorizationFailedError("memos.uploaded")
    with pytest.raises(BrokerRefused) as refused, refusals_stop():
        raise cause
    assert refused.value.__cause__ is cause
    for other in (errors.KafkaConnectionError("away"), ValueError("a defect")):
        with pytest.raises(type(other)), refusals_stop():
            raise other


def test_a_topic_that_the_broker_hides_is_asked_about_before_it_is_missed() -> None:
    client = SimpleNamespace(_client=SimpleNamespace(cluster=SimpleNamespace(unauthorized_topics={"b", "c"})))
    assert refused_topics(client) == {"b", "c"}
    must_see(client, "a")
    with pytest.raises(errors.TopicAuthorizationFailedError) as refused:
        must_see(client, "a", "c", "b")
    assert refused.value.args == ("b", "c")


def test_a_refusal_that_the_client_gives_as_text_is_one() -> None:
    refused = refusal(errors.KafkaError(repr(errors.TopicAuthorizationFailedError())))
    assert refused is not None
    assert "TopicAuthorizationFailedError" in str(refused)
    assert refusal(errors.KafkaError(repr(errors.UnknownError()))) is None
