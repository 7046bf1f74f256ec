"""Encryption, passwords and tokens, as the settings ask and as aiokafka takes them."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError
from cryptography.hazmat.primitives import serialization

from deploy.kafka.certificates import Authority
from deploy.kafka.secured import Issuer
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from tests.issuing import issuing
from tests.receivers import receiving
from workers.kafka import security
from workers.kafka.security import FileTokens, IssuedTokens, TokenRefused, kafka_access

SECRET = "hunter2"
PASSWORD = {"kafka_mechanism": "SCRAM-SHA-512", "kafka_user": "acoustic", "kafka_password": SECRET}


def access(**given: object) -> dict[str, object]:
    return kafka_access(Settings.load(**given))


def context_of(**given: object) -> ssl.SSLContext:
    context = access(kafka_security="SSL", **given)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of the module alone; `now` moves it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(security, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address where `alerts` gets tokens, each of them another."""
    numbers = iter(range(100))
    issuer = Issuer(tmp_path_factory.mktemp("issuer"))
    issuer.token = lambda subject, lives_s=600.0: f"{subject}-{next(numbers)}"  # type: ignore[method-assign]
    with issuing(issuer, {"alerts": SECRET}) as url:
        yield url


def test_a_plain_connection_needs_nothing() -> None:
    assert access() == {}


def test_a_password_travels_with_its_mechanism() -> None:
    assert access(kafka_security="SASL_PLAINTEXT", **PASSWORD) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "acoustic",
        "sasl_plain_password": SECRET,
    }


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_certificate_and_name_of_the_broker_are_always_checked(protocol: str, authority: Authority) -> None:
    given = PASSWORD if protocol.startswith("SASL") else {}
    context = access(kafka_security=protocol, kafka_ca=authority.certificate, **given)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "Undertone development"),),)]


def test_our_own_certificate_is_loaded_with_its_key(authority: Authority) -> None:
    pair = authority.vouch("acoustic")
    context_of(kafka_certificate=pair.certificate, kafka_key=pair.key)
    other = authority.vouch("embedding")
    with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_CERTIFICATE and UNDERTONE_KAFKA_KEY"):
        context_of(kafka_certificate=pair.certificate, kafka_key=other.key)


def test_a_locked_key_is_opened_by_its_password_and_never_asks_at_a_terminal(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.vouch("locked")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(SECRET.encode()),
        )
    )
    context_of(kafka_certificate=pair.certificate, kafka_key=locked, kafka_key_password=SECRET)
    for wrong in ({}, {"kafka_key_password": "another"}):
        with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_KEY_PASSWORD"):
            context_of(kafka_certificate=pair.certificate, kafka_key=locked, **wrong)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_are_a_wrong_setting(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match="UNDERTONE_KAFKA_CA") as refused:
        context_of(kafka_ca=tmp_path / "ca.pem")
    assert str(tmp_path) not in str(refused.value)


def test_tokens_come_from_where_the_settings_say(tmp_path: Path) -> None:
    bearer = {"kafka_security": "SASL_PLAINTEXT", "kafka_mechanism": "OAUTHBEARER"}
    client = {"kafka_client_id": "alerts", "kafka_client_secret": SECRET}
    from_file = access(**bearer, kafka_token_file=tmp_path / "token")
    issued = access(**bearer, kafka_token_url="http://127.0.0.1:1/token", **client)
    assert isinstance(from_file["sasl_oauth_token_provider"], FileTokens)
    assert isinstance(issued["sasl_oauth_token_provider"], IssuedTokens)
    assert not {"sasl_plain_username", "sasl_plain_password"} & {*from_file, *issued}


async def test_a_token_file_is_read_anew_for_every_connection(tmp_path: Path) -> None:
    file = tmp_path / "token"
    tokens = FileTokens(file)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert await tokens.token() == token
    for useless in (b"", b" \n", b"\xff\xfe"):
        file.write_bytes(useless)
        with pytest.raises(TokenRefused, match="UNDERTONE_KAFKA_TOKEN_FILE"):
            await tokens.token()
    file.unlink()
    with pytest.raises(TokenRefused, match="UNDERTONE_KAFKA_TOKEN_FILE"):
        await tokens.token()


async def test_an_issued_token_is_kept_for_four_fifths_of_its_life(issuer: str, clock: SimpleNamespace) -> None:
    tokens = IssuedTokens(issuer, "alerts", SECRET, "kafka")
    first = await tokens.token()
    clock.now += 0.79 * 600
    assert await tokens.token() == first
    clock.now += 0.02 * 600
    assert await tokens.token() != first


async def test_connections_that_open_together_share_one_token(issuer: str) -> None:
    tokens = IssuedTokens(issuer, "alerts", SECRET, "")
    assert len(set(await asyncio.gather(*(tokens.token() for _ in range(5))))) == 1


async def test_an_issuer_that_refuses_is_told_from_one_that_is_away(issuer: str) -> None:
    with pytest.raises(TokenRefused, match=r"UNDERTONE_KAFKA_TOKEN_URL.*401") as refused:
        await IssuedTokens(issuer, "alerts", "wrong", "").token()
    assert "wrong" not in str(refused.value)
    with receiving(lambda *_: 503) as away, pytest.raises(KafkaConnectionError, match="503"):
        await IssuedTokens(away.url, "alerts", SECRET, "").token()
    with pytest.raises(KafkaConnectionError, match=r"UNDERTONE_KAFKA_TOKEN_URL.*ConnectError") as none:
        await IssuedTokens("http://127.0.0.1:1/token?key=hunter2", "alerts", SECRET, "").token()
    assert SECRET not in str(none.value)


async def test_an_answer_without_a_token_is_refused_and_not_kept() -> None:
    with receiving(lambda *_: 200) as receiver:
        tokens = IssuedTokens(receiver.url, "alerts", SECRET, "kafka")
        for _ in range(2):
            with pytest.raises(TokenRefused, match="UNDERTONE_KAFKA_TOKEN_URL"):
                await tokens.token()
    assert [request.body for request in receiver.requests] == [b"grant_type=client_credentials&scope=kafka"] * 2
