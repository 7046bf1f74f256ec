"""The servers of docker-compose.yml, started here with its commands and with the files that its first start makes.

There is no container engine in a test: paths and ports are this machine's, and all else is what compose gives them.
"""

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import certifi
import httpx
import psycopg
import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry
from typer.testing import CliRunner

from deploy.compose.first_start import KAFKA_USERS, KEYSET, KEYSET_FILE, KEYSET_MOUNTED, TOKENS, make
from deploy.compose.kafka_rights import main
from deploy.compose.key_start import main as make_keys
from deploy.compose.secrets_folder import SecretsFolder
from deploy.compose.server_files import ADMIN, KafkaAddresses, kafka_properties
from deploy.compose.soft_token import CONFIGURED, SOFTHSM
from deploy.kafka.server import LIGHT, KafkaServer, dies_with_parent
from schemas import topics
from schemas.settings import Settings
from streams.cli.application import app
from streams.history.database import Database
from streams.notify.http_client import make_client, post
from tests.postgres import PostgresServer, programs
from tests.servers import RedisServer, free_port, unavailable_kafka
from workers.kafka.security import kafka_access
from workers.privacy.key_directory import KeyDirectory
from workers.state.redis_client import redis_access, redis_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
SERVICES: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of secrets after the first start."""
    root = tmp_path_factory.mktemp("compose") / "secrets"
    root.parent.chmod(0o755)
    make(SecretsFolder.open(root, os.getuid(), "secrets"), datetime.now(UTC), {})
    return root


def settings_of(folder: Path, name: str, patch: pytest.MonkeyPatch, **here: str) -> Settings:
    """What a role loads from its folder. here: variables that have another value on this machine."""
    for variable, text in {**files_of(folder / name), **here}.items():
        patch.setenv(variable, text)
    return Settings.load()


def files_of(files: Path) -> dict[str, str]:
    """Variables that name the files of a service where they are on this machine."""
    authorities = [name for name in ("undertone_kafka_ca", "undertone_redis_ca") if (files / name).exists()]
    return {"UNDERTONE_SECRETS_DIR": str(files), **{name.upper(): str(files / "ca.pem") for name in authorities}}


class ComposeRedis(RedisServer):
    """Redis with the options of docker-compose.yml."""

    def __init__(self, folder: Path) -> None:
        program, *options = (word.replace("/run/secrets", str(folder)) for word in SERVICES["redis"]["command"])
        self.files = folder / "redis"
        super().__init__(shutil.which(program), durable=False, encrypted=True, options=options)
        options[options.index("--tls-port") + 1] = str(self.port)
        self._options = options

    def client(self, **options: Any) -> Redis:
        options = {"ssl": True, "ssl_ca_certs": str(self.files / "ca.pem"), "driver_info": None, **options}
        return Redis(port=self.port, retry=Retry(NoBackoff(), 0), **options)

    def _answers(self) -> bool:
        with suppress(RedisConnectionError), self.client(username="probe", password=self.probe) as client:
            return bool(client.ping())
        return False

    @property
    def probe(self) -> str:
        return (self.files / "probe").read_text()


@pytest.fixture(scope="module")
def redis(folder: Path) -> Iterator[ComposeRedis]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here: install Debian's package of that name")
    with ComposeRedis(folder) as server:
        yield server


async def test_redis_lets_the_agents_in_over_tls_and_to_their_keys(
    redis: ComposeRedis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(folder, "agents", monkeypatch, REDIS_URL=f"rediss://127.0.0.1:{redis.port}/0")
    async with redis_client(settings.redis_url or "", redis_access(settings), 5.0) as client:
        assert await client.set("undertone:a", b"1")
        assert await client.mget(["undertone:a"]) == [b"1"]
        for refused in (client.set("other", b"1"), client.flushall(), client.config_get("*"), client.keys("*")):
            with pytest.raises(NoPermissionError):
                await refused


def test_redis_lets_in_nobody_else(redis: ComposeRedis) -> None:
    with Redis(port=redis.port, retry=Retry(NoBackoff(), 0)) as plain, pytest.raises(RedisConnectionError):
        plain.ping()
    for options in ({}, {"username": "undertone", "password": "change me"}, {"password": redis.probe}):
        with redis.client(**options) as client, pytest.raises(RedisError, match=r"(?i)auth|invalid username"):
            client.ping()
    with redis.client(username="probe", password=redis.probe) as client:
        assert client.ping()
        for command in (("GET", "undertone:a"), ("INFO",), ("ACL", "LIST"), ("KEYS", "*")):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)


def test_the_check_of_redis_s_health_asks_as_a_user_that_may_ask(redis: ComposeRedis, folder: Path) -> None:
    _, command = SERVICES["redis"]["healthcheck"]["test"]
    here = command.replace("$$", "$").replace("/run/secrets", str(folder))
    here = here.replace("redis-cli", f"redis-cli -p {redis.port}")
    assert subprocess.run(["sh", "-c", here], check=False).returncode == 0
    wrong = here.replace("--user probe", "--user undertone")
    assert subprocess.run(["sh", "-c", wrong], check=False, capture_output=True).returncode != 0


class ComposeKafka(KafkaServer):
    """Kafka with the `server.properties` of the first start, but for ports and paths."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.passwords = {user: (folder / "kept" / f"kafka-{user}").read_text() for user in (ADMIN, *KAFKA_USERS)}
        ports = [free_port() for _ in range(3)]
        at = KafkaAddresses(f"localhost:{ports[0]}", f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[2]}")
        files, data = str(folder / "kafka"), str(self._folder / "data")
        self._config.write_text(kafka_properties(self.passwords, files, data, at))
        self.inside, self.bootstrap = at.inside, at.outside

    def client(self, user: str, password: str | None = None, **changes: str) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self.bootstrap,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": self.passwords[user] if password is None else password,
                "ssl.ca.location": str(self.folder / "kafka" / "ca.pem"),
                "log_level": 0,
                **changes,
            }
        )

    def _answers(self) -> bool:
        with suppress(KafkaException):
            return bool(self.client(ADMIN).list_topics(timeout=5).brokers)
        return False


@pytest.fixture(scope="module")
def compose_kafka(folder: Path) -> Iterator[ComposeKafka]:
    unavailable_kafka()
    with ComposeKafka(folder) as server:
        yield server
        server.kill()  # a shutdown in good order is another test's


def test_the_properties_that_are_tested_are_those_that_the_first_start_writes(folder: Path) -> None:
    passwords = {user: (folder / "kept" / f"kafka-{user}").read_text() for user in (ADMIN, *KAFKA_USERS)}
    written = kafka_properties(passwords, "/run/secrets/kafka", "/var/lib/kafka/data")
    assert (folder / "kafka" / "server.properties").read_text() == written
    assert "PLAINTEXT" not in written
    assert SERVICES["kafka"]["volumes"][0] == "kafka:/var/lib/kafka/data"


def test_kafka_gives_every_role_its_rights_and_no_other(
    compose_kafka: ComposeKafka, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"KAFKA_BOOTSTRAP": compose_kafka.bootstrap}
    with monkeypatch.context() as patch:
        settings_of(folder, "rights", patch, **here)
        assert main() == 0
        assert main() == 0, "a second start gives them again"
    with monkeypatch.context() as patch:
        settings_of(folder, "topics", patch, **here)
        made = CliRunner().invoke(app, ["topics", "create"])
        assert made.exit_code == 0, made.output
    every = {topic.name for topic in topics.TOPICS}
    # A user sees the topics that it may do anything with.
    seen = {user: set(compose_kafka.client(user).list_topics(timeout=10).topics) & every for user in KAFKA_USERS}
    assert seen["topics"] == every
    read = {topics.UPLOADED.name, topics.FEATURES.name, topics.DEAD.name, topics.CONSENTS.name}
    assert seen["acoustic"] == {*read, topics.AUDIT.name}
    assert seen["bridge"] == {topics.ALERTS.name, topics.SCORED.name, topics.AUDIT.name}
    assert seen["key-server"] == {topics.AUDIT.name}
    assert seen["registry"] == set()
    with monkeypatch.context() as patch:
        settings_of(folder, "operator", patch, **here)
        shown = CliRunner().invoke(app, ["topics", "describe", "--json"])
        assert shown.exit_code == 0, shown.output
        assert CliRunner().invoke(app, ["alerts", "--once"]).exit_code == 0
    with monkeypatch.context() as patch:
        assert kafka_access(settings_of(folder, "agents", patch, **here))["security_protocol"] == "SASL_SSL"


@pytest.mark.parametrize(
    ("user", "password", "changes"),
    [
        ("acoustic", "change me", {}),
        ("nobody", "nobody", {}),
        ("acoustic", None, {"security.protocol": "PLAINTEXT"}),
        ("acoustic", None, {"security.protocol": "SASL_PLAINTEXT"}),
        ("acoustic", None, {"security.protocol": "SSL"}),
        ("acoustic", None, {"ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"}),
    ],
)
def test_kafka_lets_in_nobody_without_password_and_tls(
    compose_kafka: ComposeKafka, user: str, password: str | None, changes: dict[str, str]
) -> None:
    with pytest.raises(KafkaException):
        compose_kafka.client(user, password, **changes).list_topics(timeout=1.5)


def test_the_controller_of_kafka_wants_a_password_too(compose_kafka: ComposeKafka) -> None:
    controller = re.search(r"1@(\S+)", compose_kafka._config.read_text())
    assert controller is not None
    for changes in ({"security.protocol": "PLAINTEXT"}, {"sasl.password": "x"}):
        with pytest.raises(KafkaException):
            compose_kafka.client(ADMIN, **{"bootstrap.servers": controller[1], **changes}).list_topics(timeout=1.5)


def test_a_tool_of_kafka_reads_the_properties_that_the_check_of_its_health_names(
    compose_kafka: ComposeKafka, folder: Path, tmp_path: Path
) -> None:
    """With another tool than the check's, which is not among the server's own jars."""
    words = SERVICES["kafka"]["healthcheck"]["test"]
    file = Path(words[words.index("--command-config") + 1])
    properties = (folder / "kafka" / file.name).read_text().replace("/run/secrets", str(folder))
    (tmp_path / file.name).write_text(properties)
    asked = ["--bootstrap-server", compose_kafka.inside, "--command-config", str(tmp_path / file.name)]
    tool = [*compose_kafka._java(*LIGHT), "kafka.admin.ConfigCommand", *asked]
    about = ["--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"]
    done = subprocess.run([*tool, *about], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "auto.create.topics.enable=false" in done.stdout
    assert not [password for password in compose_kafka.passwords.values() if password in done.stdout]


class ComposePostgres(PostgresServer):
    """PostgreSQL as the image starts it: made with the superuser's password, then `initdb/*.sql`, then this command."""

    def __init__(self, found: Path, folder: Path) -> None:
        super().__init__(found)
        self.files = self._folder / "secrets"
        shutil.copytree(folder / "postgres", self.files)
        self.hba = self._folder / "pg_hba.conf"
        shutil.copy(ROOT / "deploy" / "postgres" / "pg_hba.conf", self.hba)
        replaced = {"/run/secrets/postgres": str(self.files), "/etc/undertone/pg_hba.conf": str(self.hba)}
        for word in SERVICES["postgres"]["command"][1:]:
            option = word.removeprefix("-c")
            for path, here in replaced.items():
                option = option.replace(path, here)
            self._options = [*self._options, option]
        self._options = [*self._options, f"unix_socket_directories={self._folder}"]

    def __enter__(self) -> "ComposePostgres":
        data = self._folder / "data"
        for path in (self._folder, *self._folder.rglob("*")):
            if os.geteuid() == 0:
                shutil.chown(path, self._user())
        arguments = ["-D", str(data), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(self.files / "admin")]
        encoding = ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            [*self._as_user(), str(self._programs / "initdb"), *arguments, *encoding], check=True, capture_output=True
        )
        self.start()
        every = sorted((ROOT / "deploy" / "postgres" / "initdb").iterdir())
        sql = "\n".join(path.read_text() for path in every)
        psql = [str(self._programs / "psql"), "-v", "ON_ERROR_STOP=1", "--username", "postgres", "--no-password"]
        subprocess.run(
            [*self._as_user(), *psql, "--host", str(self._folder), "--port", str(self.port), "--dbname", "postgres"],
            input=sql.replace("/run/secrets/postgres", str(self.files)),
            env={**os.environ, "PGPASSWORD": (self.files / "admin").read_text()},
            text=True,
            check=True,
            capture_output=True,
        )
        return self

    def _answers(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "--host", "localhost", "--port", str(self.port), "-U", "undertone"]
        return subprocess.run(ready, check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[ComposePostgres]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: install Debian's postgresql")
    with ComposePostgres(found, folder) as server:
        yield server


def test_postgresql_keeps_the_history_for_its_user_over_tls(
    postgres: ComposePostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = (folder / "history" / "undertone_database_url").read_text()
    assert written == (folder / "migrate" / "undertone_database_url").read_text()
    here = written.replace("postgres:5432", f"localhost:{postgres.port}").replace(
        "/run/secrets/undertone", str(folder / "history")
    )
    settings = settings_of(folder, "history", monkeypatch, UNDERTONE_DATABASE_URL=here)
    assert Database.migrate(settings)
    with psycopg.connect(here) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
        row = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert row.fetchone() == (False, False, False)
    for wrong in (
        here.replace("sslmode=verify-full", "sslmode=disable"),
        here.replace("postgresql://undertone:", "postgresql://undertone:x"),
        here.replace("postgresql://undertone:", "postgresql://postgres:"),
        here.replace("/undertone?", "/postgres?"),
        here.replace(str(folder / "history" / "ca.pem"), "/etc/ssl/certs/ca-certificates.crt"),
        re.sub("//[^@]*@", f"//postgres:{(folder / 'postgres' / 'admin').read_text()}@", here),
    ):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong).close()


def test_postgresql_keeps_the_keys_of_a_sealed_installation_apart(
    postgres: ComposePostgres, folder: Path, tmp_path: Path
) -> None:
    sealed = tmp_path / "secrets"
    subprocess.run(["cp", "-a", folder, sealed], check=True)
    make(SecretsFolder.open(sealed, os.getuid(), "secrets"), datetime.now(UTC), {"UNDERTONE_SEAL": "on"})

    def at(name: str, patch: pytest.MonkeyPatch) -> Settings:
        """Of a service, with the paths and ports of this machine."""
        url = directory_of(sealed / name, postgres.port)
        kms = (sealed / name / "undertone_kms").read_text().replace(KEYSET_MOUNTED, str(sealed / KEYSET))
        return settings_of(sealed, name, patch, UNDERTONE_KEY_DIRECTORY_URL=url, UNDERTONE_KMS=kms)

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            at("keys", patch)
            assert make_keys() == 0
    keyset = sealed / KEYSET / KEYSET_FILE
    assert (keyset.stat().st_mode & 0o777, keyset.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with pytest.MonkeyPatch.context() as patch:
        settings = at("key-server", patch)
        assert settings.seal == "on"
        directory = KeyDirectory.open(settings)
        (subject,) = directory.enrol(["somebody"]).values()
        directory.close()
    with pytest.MonkeyPatch.context() as patch:
        directory = KeyDirectory.open(at("keys", patch))
        assert directory.subjects_of(["somebody"]) == {"somebody": subject}
        directory.close()
    url = settings.key_directory_url or ""
    history = (folder / "kept" / "postgres-undertone").read_text()
    for wrong in (
        url.replace("/undertone_keys?", "/undertone?"),
        url.replace("sslmode=verify-full", "sslmode=disable"),
        re.sub("//[^@]*@", f"//undertone:{history}@", url),
    ):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong).close()
    without_keys(url)


def directory_of(files: Path, port: int) -> str:
    """Address of the key directory on this machine, of a service with these files."""
    url = (files / "undertone_key_directory_url").read_text().replace("postgres:5432", f"localhost:{port}")
    return url.replace("/run/secrets/undertone", str(files))


def run_as(name: str, sealed: Path, port: int, *command: str) -> str:
    """What a command prints that runs as a service does, with the paths and the port of this machine."""
    files = sealed / name
    (files / CONFIGURED).write_text((files / CONFIGURED).read_text().replace(KEYSET_MOUNTED, str(sealed / KEYSET)))
    variables = {
        **files_of(files),
        "UNDERTONE_KEY_DIRECTORY_URL": directory_of(files, port),
        "SOFTHSM2_CONF": str(files / CONFIGURED),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, *command], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_keys(url: str) -> None:
    """Empty the database of the key directory: tests of one server seal with different key services."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


SUBJECTS = """
from schemas.settings import Settings
from workers.privacy.key_directory import KeyDirectory
directory = KeyDirectory.open(Settings.load())
print({each.id.hex() for each in directory.%s(["somebody"]).values()})
"""


def test_a_token_wraps_the_keys_of_an_installation_that_asks_for_one(
    postgres: ComposePostgres, folder: Path, softhsm: str, tmp_path: Path
) -> None:
    """In processes of their own: the library reads its configuration once."""
    assert softhsm == SOFTHSM
    sealed = tmp_path / "secrets"
    subprocess.run(["cp", "-a", folder, sealed], check=True)
    asked = {"UNDERTONE_SEAL": "on", "UNDERTONE_KEY_SERVICE": "softhsm"}
    make(SecretsFolder.open(sealed, os.getuid(), "secrets"), datetime.now(UTC), asked)
    tokens = sealed / KEYSET / TOKENS
    for _ in range(2):
        run_as("keys", sealed, postgres.port, "-m", "deploy.compose.key_start")
        assert len([*tokens.iterdir()]) == 1
    modes = {path.stat().st_mode & 0o777 for path in tokens.rglob("*")}
    assert modes <= {0o600, 0o700}
    assert (tokens.stat().st_mode & 0o777, tokens.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    subject = run_as("key-server", sealed, postgres.port, "-c", SUBJECTS % "enrol")
    assert run_as("keys", sealed, postgres.port, "-c", SUBJECTS % "subjects_of") == subject != "set()\n"
    pin = (sealed / "kept" / "token-pin").read_bytes()
    assert [path for path in tokens.rglob("*") if path.is_file() and pin in path.read_bytes()] == []
    assert not (sealed / KEYSET / KEYSET_FILE).exists()
    make(SecretsFolder.open(sealed, os.getuid(), "secrets"), datetime.now(UTC), {})
    without_keys(directory_of(sealed / "key-server", postgres.port))


@contextmanager
def monitoring(name: str, program: str, folder: Path, here: Path, *more: str) -> Iterator[str]:
    """A server with the command and the files of compose; its address, without `https://`."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here: install Debian's package of that name")
    port, shipped = free_port(), ROOT / "deploy" / name
    for path in (path for path in shipped.rglob("*.yml") if path.is_file()):
        copy = here / path.relative_to(shipped)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text().replace("/run/secrets", str(folder)))
    options = [word.replace(f"/etc/{name}", str(here)) for word in SERVICES[name]["command"]]
    options = [word.replace(f"=/{name}", f"={here}/data") for word in options]
    command = [*dies_with_parent(), found, *options, f"--web.listen-address=127.0.0.1:{port}", *more]
    with (here / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"https://localhost:{port}/-/ready", verify=trusted(folder)).is_success:
                    break
            assert process.poll() is None, (here / "log").read_text()
            assert time.monotonic() < deadline, (here / "log").read_text()
            time.sleep(0.05)
        yield f"localhost:{port}"
        process.terminate()


def trusted(folder: Path) -> ssl.SSLContext:
    """What trusts the authority of the installation alone, as Grafana and Prometheus do."""
    return ssl.create_default_context(cafile=folder / "grafana" / "ca.pem")


@pytest.fixture(scope="module")
def alertmanager(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    here = tmp_path_factory.mktemp("alertmanager")
    alone = "--cluster.listen-address="
    with monitoring("alertmanager", "prometheus-alertmanager", folder, here, alone) as address:
        yield address


async def test_a_bridge_posts_to_alertmanager_over_tls(
    alertmanager: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "bridge" / "authorities.pem"))
    async with make_client(10.0) as client:
        await post(client, f"https://{alertmanager}/api/v2/alerts", b"[]", {}, setting="UNDERTONE_ALERTMANAGER_URL")


def test_alertmanager_says_nothing_without_tls_and_is_trusted_by_nobody_else(alertmanager: str) -> None:
    assert httpx.get(f"http://{alertmanager}/api/v2/alerts").status_code == 400
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"https://{alertmanager}/", verify=ssl.create_default_context(cafile=certifi.where()))


def test_prometheus_answers_over_tls_alone(folder: Path, tmp_path: Path) -> None:
    with monitoring("prometheus", "prometheus", folder, tmp_path) as address:
        rules = httpx.get(f"https://{address}/api/v1/rules", verify=trusted(folder)).json()
        assert rules["data"]["groups"], "it has the shipped rules"
        assert httpx.get(f"http://{address}/api/v1/rules").status_code == 400
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"https://{address}/", verify=ssl.create_default_context(cafile=certifi.where()))


def test_without_a_password_nobody_is_made_an_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERTONE_SECRETS_DIR", raising=False)
    assert main() == 78
