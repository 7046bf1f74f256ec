"""Passwords and certificates of a compose installation: made once, kept, and shown to nobody else."""

import os
import re
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy.compose.first_start import (
    CERTIFICATE_LIVES,
    INSIDE,
    KAFKA_USERS,
    KEY_SERVER,
    KEYSET,
    KEYSET_FILE,
    KEYSET_MOUNTED,
    MACHINE,
    READERS,
    RENEWED_BEFORE,
    SERVERS,
    TOKENS,
    UNDERTONE,
    main,
    make,
)
from deploy.compose.kafka_rights import OPERATES, compose_rights
from deploy.compose.key_start import main as make_keys
from deploy.compose.secrets_folder import SecretsFolder
from deploy.compose.server_files import ADMIN, users_acl
from deploy.compose.soft_token import CONFIGURED, SOFTHSM, folder_of, make_token
from deploy.kafka.certificates import Signer, split
from schemas.errors import ConfigurationError
from schemas.key_grants import KEY_GRANTS
from schemas.permissions import rights
from schemas.settings import Settings, roles_of

ROOT = Path(__file__).parent.parent.parent
NOW = datetime.now(UTC)
SERVICES = {**SERVERS, **dict.fromkeys(READERS, UNDERTONE), "operator": os.getuid(), KEYSET: UNDERTONE}


def start(root: Path, now: datetime = NOW, **own: str) -> list[str]:
    return make(SecretsFolder.open(root, os.getuid(), "./secrets"), now, own)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after the first start. No test changes it."""
    folder = tmp_path_factory.mktemp("made") / "secrets"
    assert start(folder) == []
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """Such a folder of a test's own."""
    subprocess.run(["cp", "-a", made, tmp_path], check=True)
    return tmp_path / "secrets"


def test_every_file_is_for_its_service_alone(root: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert {path.name for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()
    assert {path.name for path in root.iterdir()} == {"kept", *SERVICES}
    if os.geteuid() == 0:
        assert {name: (root / name).stat().st_uid for name in SERVICES} == SERVICES
        assert {path.stat().st_uid for name, uid in SERVICES.items() for path in (root / name).iterdir()} == {
            *SERVICES.values()
        }


def test_a_second_start_keeps_everything(root: Path) -> None:
    before = contents(root)
    assert start(root, NOW + timedelta(days=100)) == []
    assert contents(root) == before


def test_two_installations_have_nothing_in_common(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    start(other)
    kept = {name: data for name, data in contents(root).items() if name.startswith("kept/")}
    assert len(set(kept.values())) == len(kept) >= 12
    assert not set(kept.values()) & {*contents(other).values()}


def test_no_service_sees_the_password_of_another(root: Path) -> None:
    passwords = {path.name: path.read_text() for path in (root / "kept").iterdir() if path.name != "authority.pem"}
    seen = {
        name: {
            each for each, text in passwords.items() if any(text.encode() in f for f in contents(root / name).values())
        }
        for name in SERVICES
    }
    kafka = {f"kafka-{user}" for user in (ADMIN, *KAFKA_USERS)}
    assert seen == {
        "kafka": kafka,
        "redis": {"redis-probe"},  # of the others it has a hash
        "postgres": {"postgres-admin", "postgres-undertone", "postgres-undertone-keys"},
        "keyset": set(),
        "keys": set(),
        "registry": {"kafka-registry"},
        "alertmanager": set(),
        "prometheus": set(),
        "grafana": {"grafana"},
        "rights": {"kafka-admin"},
        "topics": {"kafka-topics"},
        "acoustic": {"kafka-acoustic"},
        "key-server": {"kafka-key-server"},
        "embedding": {"kafka-embedding"},
        "agents": {"kafka-agents", "redis-undertone"},
        "migrate": {"postgres-undertone"},
        "history": {"kafka-history", "postgres-undertone"},
        "dashboard": {"kafka-dashboard", "redis-undertone", "postgres-undertone"},
        "bridge": {"kafka-bridge"},
        "operator": {"kafka-operator", "redis-undertone", "postgres-undertone"},
    }
    # Whoever erases people is given it by hand, no process.
    assert "redis-undertone-erasure" in passwords
    authority, _ = split((root / "kept" / "authority.pem").read_text())
    assert not [name for name, data in contents(root).items() if authority.encode() in data and "kept" not in name]


@pytest.mark.parametrize("name", READERS)
def test_a_role_reads_its_settings_from_its_folder(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].get(name, {"environment": {}})
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value))
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(root / name))
    settings, reader = Settings.load(), READERS[name]
    kafka, redis, database, *_ = (MACHINE if reader.from_machine else INSIDE).values()
    assert settings.kafka_bootstrap == (kafka if "kafka" in reader.reaches else None)
    assert settings.kafka_security == ("SASL_SSL" if "kafka" in reader.reaches else "PLAINTEXT")
    assert settings.redis_url == (f"rediss://{redis}/0" if "redis" in reader.reaches else None)
    assert (settings.database_url is not None) == ("database" in reader.reaches)
    if settings.database_url is not None:
        assert f"@{database}/undertone?sslmode=verify-full&sslrootcert=" in settings.database_url
    if settings.kafka_ca is not None and name != "operator":
        assert (root / name / settings.kafka_ca.relative_to("/run/secrets/undertone")).is_file()


def test_commands_of_the_operator_find_the_authority_where_the_operator_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", "secrets/operator")
    settings = Settings.load()
    authority = re.search(r"sslrootcert=(.*)", settings.database_url or "")
    assert authority is not None, "an export or an erasure would leave the history out"
    for path in (settings.kafka_ca, settings.redis_ca, Path(authority[1])):
        assert path is not None
        assert path.is_file()


def test_nothing_says_that_data_is_sealed_before_somebody_asks(root: Path) -> None:
    for asked in ("", "off"):
        assert start(root, UNDERTONE_SEAL=asked) == []
        assert not [name for name in contents(root) if "seal" in name or "kms" in name or "key_directory" in name]
    assert list((root / KEYSET).iterdir()) == []


SEALING = {name for name, reader in READERS.items() if {"keys", "purposes"} & {*reader.reaches}}
ASKING = {name for name, reader in READERS.items() if "purposes" in reader.reaches}


@pytest.mark.parametrize("name", READERS)
def test_what_seals_knows_where_its_keys_are(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start(root, UNDERTONE_SEAL="on")
    (root / "agents" / "undertone_seal").unlink()
    start(root)  # and it stays, though nobody says so again
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(root / name))
    settings, reader = Settings.load(), READERS[name]
    if name not in SEALING:
        assert (settings.seal, settings.kms, settings.key_directory_url) == ("off", None, None)
        return
    if name in ASKING:
        assert (settings.seal, settings.kms, settings.key_directory_url) == ("on", None, None)
        assert settings.key_service_url == "https://key-server:8471"
        return
    address = (MACHINE if reader.from_machine else INSIDE)["keys"]
    keyset = f"./secrets/{KEYSET}" if name == "operator" else KEYSET_MOUNTED
    assert settings.seal == "on"
    assert settings.kms == f"local:{keyset}/{KEYSET_FILE}"
    assert f"@{address}/undertone_keys?sslmode=verify-full&sslrootcert=" in (settings.key_directory_url or "")
    reads = bool(roles_of("audit_key") & reader.role)
    assert (settings.audit_key is not None) == reads, "it could make no key of its own: its file system is read-only"


@pytest.mark.parametrize(
    ("channel", "bridge"), [("", "bridge"), ("webhook", "bridge"), ("fhir", "bridge-fhir"), ("agents", "bridge")]
)
def test_a_role_has_a_certificate_of_its_own_name_for_the_key_server(root: Path, channel: str, bridge: str) -> None:
    start(root, UNDERTONE_SEAL="on")
    start(root, UNDERTONE_CHANNEL=channel)
    authority = Signer.read((root / "kept" / "authority.pem").read_text())
    named = {}
    for name in (*ASKING, KEY_SERVER):
        pem = (root / name / "keys.pem").read_text()
        subject = x509.load_pem_x509_certificate(pem.encode()).subject
        named[name] = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        assert authority.vouches(pem, named[name], NOW)
    assert named == {name: [name] for name in (*ASKING, KEY_SERVER)} | {"bridge": [bridge]}
    assert {*ASKING, bridge} <= KEY_GRANTS.keys()
    assert {path.parent.name for path in root.glob("*/keys*.pem")} == {*ASKING, KEY_SERVER}
    assert {path.parent.name for path in root.glob("*/undertone_kms")} == {"keys", KEY_SERVER, "dashboard", "operator"}


def test_after_sealing_ends_what_is_sealed_is_still_read(root: Path) -> None:
    start(root, UNDERTONE_SEAL="on")
    before = contents(root)
    start(root, UNDERTONE_SEAL="off")
    after = contents(root)
    assert {name for name in before if before[name] != after[name]} == {
        "kept/seal", *(f"{name}/undertone_seal" for name in SEALING)
    }  # fmt: skip
    assert after["agents/undertone_seal"] == b"off"
    start(root, UNDERTONE_SEAL="on")
    assert contents(root) == before, "with the same keys"


def test_a_file_of_the_operator_seals_as_the_variable_does(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, "undertone_seal", b"on\n")
    start(root)
    assert (root / "agents" / "undertone_key_service_url").is_file()
    put(root, "undertone_seal", b"yes")
    assert main([str(root)]) == 78
    assert "UNDERTONE_SEAL is neither on nor off" in capsys.readouterr().err


def test_no_start_touches_the_keyset(root: Path) -> None:
    start(root, UNDERTONE_SEAL="on")
    put(root / KEYSET, KEYSET_FILE, b"of the key service")
    before = (root / KEYSET / KEYSET_FILE).stat()
    start(root)
    after = (root / KEYSET / KEYSET_FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", READERS)
def test_a_token_is_named_to_whoever_reads_keys_and_stays(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(root, UNDERTONE_SEAL="on", UNDERTONE_KEY_SERVICE="softhsm")
    start(root)  # and it stays, though nobody says so again
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(root / name))
    if name not in SEALING - ASKING:
        assert Settings.load().kms is None
        assert not (root / name / CONFIGURED).exists()
        return
    pin = (root / "kept" / "token-pin").read_text()
    assert Settings.load().kms == f"pkcs11:{SOFTHSM}?token=undertone&key=undertone&pin={pin}"
    keyset = f"./secrets/{KEYSET}" if name == "operator" else KEYSET_MOUNTED
    assert folder_of(root / name / CONFIGURED) == Path(keyset) / TOKENS


def test_sealed_data_stays_with_the_key_service_that_it_began_with(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is destroyed with nothing to replace it, so a start that asks for the other one changes nothing."""
    other = tmp_path / "other"
    start(other, UNDERTONE_SEAL="on")
    start(root, UNDERTONE_SEAL="on", UNDERTONE_KEY_SERVICE="softhsm")
    for folder, asked in ((other, "softhsm"), (root, "local")):
        before = contents(folder)
        monkeypatch.setenv("UNDERTONE_KEY_SERVICE", asked)
        assert main([str(folder)]) == 78
        assert "which no other key service opens" in capsys.readouterr().err
        assert contents(folder) == before
    monkeypatch.setenv("UNDERTONE_KEY_SERVICE", "hsm")
    assert main([str(root)]) == 78
    assert "none of local, softhsm" in capsys.readouterr().err


def test_without_sealing_no_token_is_named(root: Path) -> None:
    before = contents(root)
    start(root, UNDERTONE_KEY_SERVICE="softhsm")
    assert contents(root) == before


def test_what_root_made_in_the_folder_of_keys_is_given_to_the_roles(root: Path) -> None:
    token = root / KEYSET / TOKENS / "a-token"
    token.mkdir(mode=0o700, parents=True)
    (root / KEYSET / TOKENS).chmod(0o700)
    put(token, "new-key.object", b"by undertone keys rotate")
    start(root)
    owners = {path.stat().st_uid for path in (root / KEYSET).rglob("*")}
    assert owners == {UNDERTONE if os.geteuid() == 0 else os.getuid()}


def test_without_the_library_the_message_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="libsofthsm2"):
        make_token(tmp_path / TOKENS, "undertone", "a pin", str(tmp_path / "none.so"))
    assert [path.name for path in (tmp_path / TOKENS).iterdir()] == [".new"], "no token that a later start would take"


def test_without_sealing_no_key_directory_is_made(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(root / "keys"))
    monkeypatch.setenv("UNDERTONE_HOME", str(tmp_path / "home"))
    assert make_keys() == 0
    assert not (tmp_path / "home").exists()


def test_a_key_directory_that_does_not_answer_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNDERTONE_KEY_DIRECTORY_URL", "postgresql://undertone_keys:hunter2@127.0.0.1:9/undertone_keys")
    monkeypatch.setenv("UNDERTONE_KMS", f"local:{tmp_path / KEYSET_FILE}")
    assert make_keys() == 69
    told = capsys.readouterr().err
    assert "key directory" in told
    assert "hunter2" not in told
    assert not (tmp_path / KEYSET_FILE).exists(), "a keyset without a directory"


def test_a_certificate_is_renewed_before_it_ends_and_the_authority_stays(root: Path) -> None:
    before = contents(root)
    later = NOW + CERTIFICATE_LIVES - RENEWED_BEFORE + timedelta(days=1)
    assert start(root, later) == []
    after = contents(root)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"{server}/server{part}.pem" for server in SERVERS for part in ("", "-key", "-both")}
    authority = Signer.read((root / "kept" / "authority.pem").read_text())
    pem = (root / "kafka" / "server.pem").read_text()
    assert authority.vouches(pem, ("kafka", "localhost", "127.0.0.1"), later + RENEWED_BEFORE)
    assert not authority.vouches(pem, ("redis",), later)
    (sentence,) = start(root, NOW + timedelta(days=3600))
    assert "delete kept/authority.pem" in sentence


def test_what_is_deleted_is_made_anew(root: Path) -> None:
    before = contents(root)
    (root / "kept" / "redis-undertone").unlink()
    (root / "kept" / "authority.pem").unlink()
    start(root)
    after = contents(root)
    assert after["kept/redis-undertone"] != before["kept/redis-undertone"]
    assert after["agents/undertone_redis_password"] == after["kept/redis-undertone"]
    assert after["kafka/server.pem"] != before["kafka/server.pem"]
    assert after["kept/kafka-agents"] == before["kept/kafka-agents"]


SENDING = {name for name, reader in READERS.items() if roles_of("fhir_patients") & reader.role}
"""Those that send to receivers, who know people by other names."""


def test_what_an_operator_puts_there_goes_to_the_roles_that_read_it(root: Path) -> None:
    (root / "undertone_oidc_client_secret").write_text("of the dashboard\n")
    (root / "UNDERTONE_LOG_KEY").write_text("of the logs")
    (root / "undertone_kafka_password").write_text("of mine")
    (root / "undertone_fhir_patients").write_text("/run/secrets/undertone/patients.csv")
    (root / "patients.csv").write_text("pseudonym,patient\n")
    (root / "undertone_log_kee").write_text("a slip")
    for path in root.iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    (sentence,) = start(root)
    assert "did you mean UNDERTONE_LOG_KEY" in sentence
    found = {name: {path.name for path in (root / name).iterdir()} for name in READERS}
    assert {name for name in READERS if "undertone_oidc_client_secret" in found[name]} == {"dashboard"}
    assert {name for name in READERS if "patients.csv" in found[name]} == SENDING
    assert {"acoustic", "agents", "bridge", "dashboard"} <= {n for n in READERS if "undertone_log_key" in found[n]}
    assert (root / "agents" / "undertone_kafka_password").read_text() == "of mine"
    (root / "undertone_oidc_client_secret").unlink()
    start(root)
    assert not (root / "dashboard" / "undertone_oidc_client_secret").exists()


def put(root: Path, name: str, data: bytes) -> None:
    (root / name).write_bytes(data)
    (root / name).chmod(0o600)


def test_a_file_goes_only_where_a_setting_names_all_of_its_path(root: Path) -> None:
    put(root, "undertone_fhir_patients", b"/run/secrets/undertone/patients.csv")
    put(root, "undertone_kafka_ca", b"/run/secrets/undertone/own.pem")
    for name in ("patients.csv", "patients", "run", "own.pem", "own"):
        put(root, name, b"of the operator")
    start(root)
    found = {name: {path.name for path in (root / name).iterdir()} for name in READERS}
    assert {name for name in READERS if "patients.csv" in found[name]} == SENDING
    assert {name for name in READERS if "own.pem" in found[name]} == {*READERS}
    given = {file for files in found.values() for file in files}
    assert not given & {"patients", "run", "own"}


def test_a_file_that_is_no_text_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, ".DS_Store", b"\x00\x00\x00\x01Bud1\x87\xff")
    assert main([str(root), "./secrets"]) == 78
    assert "secrets/.DS_Store is no text" in capsys.readouterr().err


def test_nothing_is_made_for_servers_of_the_operators_own(root: Path) -> None:
    start(root, KAFKA_BOOTSTRAP="kafka.example:9093", REDIS_URL="")
    given = {path.name for path in (root / "agents").iterdir()}
    assert not [name for name in given if "kafka" in name]
    assert "redis_url" in given


def readable(root: Path) -> None:
    root.chmod(0o755)


def one_file(root: Path) -> None:
    (root / "redis" / "users.acl").chmod(0o640)


def written_by_others(root: Path) -> None:
    (root / "kept").chmod(0o770)


@pytest.mark.parametrize("open_up", [readable, one_file, written_by_others])
def test_a_folder_that_others_could_read_is_refused_with_what_to_do(
    root: Path, open_up: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(root)
    open_up(root)
    assert main([str(root), "./secrets"]) == 78
    told = capsys.readouterr().err
    assert told.startswith("secrets")
    assert "can be read by other users" in told
    assert "`chmod -R go= ./secrets`" in told
    assert "\n" not in told.strip()
    assert not [password for password in before.values() if password in told.encode()]
    assert contents(root) == before, "nothing was made or changed"
    for path in (root, *root.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert main([str(root)]) == 0


def test_a_folder_of_an_earlier_version_with_readable_files_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    (folder / "undertone_redis_password").write_text("hunter2")
    assert main([str(folder)]) == 78


def test_empty_folders_that_the_engine_made_are_tightened(tmp_path: Path) -> None:
    for name in ("kafka", "agents"):
        (tmp_path / "secrets" / name).mkdir(parents=True)
        (tmp_path / "secrets" / name).chmod(0o755)
    (tmp_path / "secrets").chmod(0o755)
    assert main([str(tmp_path / "secrets")]) == 0
    assert stat.S_IMODE((tmp_path / "secrets" / "kafka").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["undertone_log_key", "redis", "redis/users.acl"])
def test_a_link_is_refused_and_not_followed(root: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "elsewhere"
    (other / "deep").mkdir(parents=True)
    (other / "file").write_text("somebody else's")
    path = root / name
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
    path.symlink_to(other if name == "redis" else other / "file")
    before = (other / "file").stat()
    assert main([str(root)]) == 78
    assert (other / "file").stat() == before
    assert (other / "file").read_text() == "somebody else's"


@pytest.mark.parametrize("text", ["short", 'a" user_root="b' * 3, "x" * 200, "$(reboot)" * 5, "a\nb" * 20, ""])
def test_a_password_that_a_configuration_could_misread_is_refused(
    root: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "kept" / "kafka-agents"
    path.write_text(text)
    assert main([str(root), "./secrets"]) == 78
    told = capsys.readouterr().err
    assert "./secrets/kept/kafka-agents" in told
    assert not text or text not in told


@pytest.mark.parametrize("damage", ["", "no certificate", "half"])
def test_a_damaged_authority_is_refused(root: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "kept" / "authority.pem"
    path.write_text(path.read_text()[:200] if damage == "half" else damage)
    assert main([str(root)]) == 78
    assert "kept/authority.pem" in capsys.readouterr().err


def test_a_start_that_was_killed_is_finished_by_the_next(root: Path) -> None:
    before = contents(root)
    for name in ("users.acl", "probe"):
        (root / "redis" / name).unlink()
    (root / "redis" / "users.acl.part").write_text("half of")
    (root / "redis" / "users.acl.part").chmod(0o600)
    start(root)
    assert contents(root) == before


def test_every_user_of_kafka_has_the_rights_of_its_role_and_no_other() -> None:
    given = compose_rights()
    assert {right.role for right in given} == {*KAFKA_USERS}
    for role in set(KAFKA_USERS) - {"operator", "registry"}:
        assert [right for right in given if right.role == role] == [right for right in rights() if right.role == role]
    operator = {(right.resource, right.name, right.operation) for right in given if right.role == "operator"}
    assert operator == {(r.resource, r.name, r.operation) for r in rights() if r.role in OPERATES}
    assert ("group", "undertone-history", "Read") in operator, "or `history rebuild` is refused"
    assert {right.name for right in given if right.role == "registry"} == {"_schemas", "undertone-registry"}


def test_the_shipped_list_of_redis_users_has_no_password() -> None:
    shipped = (ROOT / "deploy" / "redis" / "users.acl").read_text()
    assert not re.search(r"[#>]|nopass", shipped)
    first, second, third, probe = users_acl(shipped, {"undertone": "one", "probe": "two"}).splitlines()
    assert first == "user default off"
    assert re.match(r"user undertone on #[0-9a-f]{64} ~", second)
    assert third.startswith("user undertone-erasure on ~"), "lets no one in"
    assert re.fullmatch(r"user probe on #[0-9a-f]{64} resetchannels -@all \+ping", probe)
