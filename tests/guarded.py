"""A guarded Kafka and a guarded Redis, shared by all tests of a run that are about who may do what."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from deploy.compose.server_files import users_acl
from deploy.kafka.acls import give, rights
from deploy.kafka.certificates import Authority
from deploy.kafka.secured import SecuredKafka
from tests.servers import RedisServer, unavailable_kafka

ROLES = sorted({right.role for right in rights()})
USERS_ACL = Path(__file__).parent.parent / "deploy" / "redis" / "users.acl"
REDIS_PASSWORD = "secret-of-redis"


def password(role: str) -> str:
    return f"secret-of-{role}"


@pytest.fixture(scope="session")
def guarded() -> Iterator[SecuredKafka]:
    """Kafka with users that are named as the roles are, and have exactly the rights in deploy/kafka/acls.md."""
    unavailable_kafka()
    with SecuredKafka({role: password(role) for role in ROLES}) as server:
        give(server.admin, rights())
        yield server


def access(guarded: SecuredKafka, role: str, mechanism: str = "SCRAM-SHA-512", **changes: str) -> dict[str, str]:
    """The environment in which a role reaches the guarded Kafka with its password."""
    return {
        "KAFKA_BOOTSTRAP": guarded.secured,
        "UNDERTONE_KAFKA_SECURITY": "SASL_SSL",
        "UNDERTONE_KAFKA_CA": str(guarded.authority.certificate),
        "UNDERTONE_KAFKA_MECHANISM": mechanism,
        "UNDERTONE_KAFKA_USER": role,
        "UNDERTONE_KAFKA_PASSWORD": password(role),
        **changes,
    }


class GuardedRedis(RedisServer):
    """Redis behind TLS, with the users of deploy/redis/users.acl and no other."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        pair = self.authority.vouch("redis")
        users = folder / "users.acl"
        users.write_text(users_acl(USERS_ACL.read_text(), {"undertone": REDIS_PASSWORD}))
        files = {
            "--tls-cert-file": pair.certificate,
            "--tls-key-file": pair.key,
            "--tls-ca-cert-file": self.authority.certificate,
            "--aclfile": users,
        }
        options = [part for option, path in files.items() for part in (option, str(path))]
        super().__init__(encrypted=True, options=[*options, "--tls-auth-clients", "no"])
        self.url = f"rediss://127.0.0.1:{self.port}/0"

    def environment(self) -> dict[str, str]:
        return {
            "REDIS_URL": self.url,
            "UNDERTONE_REDIS_CA": str(self.authority.certificate),
            "UNDERTONE_REDIS_USER": "undertone",
            "UNDERTONE_REDIS_PASSWORD": REDIS_PASSWORD,
        }

    def _answers(self) -> bool:
        with (
            Redis(
                port=self.port, ssl=True, ssl_ca_certs=str(self.authority.certificate), username="undertone",
                password=REDIS_PASSWORD, driver_info=None,
            ) as client,
            suppress(RedisConnectionError),
        ):  # fmt: skip
            return bool(client.ping())
        return False


@pytest.fixture(scope="session")
def guarded_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRedis]:
    """Redis as GuardedRedis describes it."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here, and the wheel's Valkey knows no TLS: install Debian's redis-server")
    with GuardedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server
