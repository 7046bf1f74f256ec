import json
import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.bundle_manifest import MANIFEST
from schemas.environment import PLAIN
from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.settings import Settings, is_secret

SECRET = "hunter2-secret"
ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name in PLAIN or name.startswith("UNDERTONE_"):
            monkeypatch.delenv(name)


def test_nothing_set_is_a_laptop() -> None:
    settings = Settings.load()
    assert settings.kafka_bootstrap is None
    assert settings.redis_url is None
    assert settings.audio_prefixes == ()
    assert settings.modalities == (Modality.ACOUSTIC, Modality.EMBEDDING)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("prefix", ["", "UNDERTONE_"])
def test_what_platforms_set_is_taken_with_and_without_prefix(
    monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
) -> None:
    given = {"LOG_LEVEL": "ERROR", "REDIS_URL": "redis://host:1", "SCHEMA_REGISTRY_URL": "https://host:1"}
    value = given.get(name, "host:1")
    monkeypatch.setenv(prefix + name, value)
    assert getattr(Settings.load(), name.lower()) == value


def test_every_field_can_be_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_WINDOW_S", "7.5")
    monkeypatch.setenv("UNDERTONE_AUDIO_PREFIXES", "s3://memos/, file:///data ,")
    monkeypatch.setenv("UNDERTONE_MODALITIES", "acoustic")
    monkeypatch.setenv("UNDERTONE_METRICS_PORT", "")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    settings = Settings.load()
    assert settings.window_s == 7.5
    assert settings.audio_prefixes == ("s3://memos/", "file:///data")
    assert settings.modalities == (Modality.ACOUSTIC,)
    assert settings.metrics_port == 0
    assert settings.log_level == "DEBUG"


@pytest.fixture
def acoustic_bundle(tmp_path: Path) -> Path:
    """A folder whose manifest tells that the model scores acoustic features only."""
    made = {"name": "markers", "version": "1", "weights_hash": "ab" * 32}
    needs = {"extractors": {"acoustic": made}, "encoder": None, "window_s": 10}
    (tmp_path / MANIFEST).write_text(json.dumps(needs))
    return tmp_path


def test_modalities_are_those_of_the_bundle_unless_they_are_set(
    monkeypatch: pytest.MonkeyPatch, acoustic_bundle: Path
) -> None:
    monkeypatch.setenv("UNDERTONE_BUNDLE", str(acoustic_bundle))
    follows = Settings.load()
    assert (follows.modalities, follows.window_s) == ((Modality.ACOUSTIC,), 10.0)
    assert "modalities" not in follows.model_fields_set
    assert "UNDERTONE_MODALITIES" not in follows.child_environment()
    monkeypatch.setenv("UNDERTONE_MODALITIES", "acoustic,embedding")
    assert Settings.load().modalities == (Modality.ACOUSTIC, Modality.EMBEDDING)
    assert Settings.load().child_environment()["UNDERTONE_MODALITIES"] == "acoustic,embedding"


def test_where_no_bundle_is_every_modality_is_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNDERTONE_BUNDLE", str(tmp_path / "nowhere"))
    assert Settings.load().modalities == (Modality.ACOUSTIC, Modality.EMBEDDING)


def test_a_wrong_value_says_nothing_of_what_follows_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_WINDOW_S", "long")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert "MODALITIES" not in str(caught.value)


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "there:1")
    assert Settings.load(kafka_bootstrap="here:1").kafka_bootstrap == "here:1"


def test_secrets_are_read_from_files_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "REDIS_URL").write_text(f"redis://:{SECRET}@store:6379/0\n")
    (tmp_path / "undertone_window_s").write_text("7")
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path))
    assert Settings.load().redis_url == f"redis://:{SECRET}@store:6379/0"
    assert Settings.load().window_s == 7
    monkeypatch.setenv("REDIS_URL", "redis://other")
    assert Settings.load().redis_url == "redis://other"


def test_a_folder_of_secrets_that_is_not_there_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path / SECRET))
    with pytest.raises(ConfigurationError, match="UNDERTONE_SECRETS_DIR is not a folder") as caught:
        Settings.load()
    assert SECRET not in str(caught.value)


WRONG = {
    "UNDERTONE_WINDOW_S": "UNDERTONE_WINDOW_S: Input should be a valid number",
    "UNDERTONE_PARTITIONS": "UNDERTONE_PARTITIONS: Input should be a valid integer",
    "UNDERTONE_LOG_LEVEL": "LOG_LEVEL: Input should be 'DEBUG'",
    "UNDERTONE_MODALITIES": "UNDERTONE_MODALITIES: Input should be 'acoustic'",
    "UNDERTONE_SUPERVISED": "UNDERTONE_SUPERVISED: Input should be a valid boolean",
}


@pytest.mark.parametrize(("name", "message"), WRONG.items())
def test_a_wrong_value_is_reported_by_variable_and_rule_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        Settings.load()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARTITIONS", "0"),
        ("METRICS_PORT", "65536"),
        ("WINDOW_S", "0"),
        ("WINDOW_S", "nan"),
        ("JOIN_TIMEOUT_S", "inf"),
        ("MAX_CLIPPED", "1.1"),
        ("MODALITIES", ","),
        ("MODALITIES", "unknown"),
        ("MODALITIES", "acoustic,acoustic"),
        ("PRECISION", "float8"),
    ],
)
def test_values_out_of_bounds_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"UNDERTONE_{name}", value)
    with pytest.raises(ConfigurationError, match=f"UNDERTONE_{name}: "):
        Settings.load()


def test_all_faults_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_WINDOW_S", "-1")
    monkeypatch.setenv("UNDERTONE_PARTITIONS", "none")
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_PARTITIONS: .*; UNDERTONE_WINDOW_S: "):
        Settings.load()


def test_printed_settings_hold_no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@store:6379/0")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", f"https://user:{SECRET}@registry")
    settings = Settings.load()
    assert settings.redis_url is not None
    assert SECRET in settings.redis_url
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings.load().window_s = 1.0  # type: ignore[misc]


def test_only_settings_read_the_environment() -> None:
    """Everything else gets what it needs passed down."""
    readers = {
        str(path.relative_to(ROOT))
        for package in ("schemas", "workers", "streams")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers <= {
        "schemas/settings.py",
        # Levels of TensorFlow and of multiprocessing, which are set there only.
        "streams/cli/application.py",
        "streams/terminal/interrupts.py",
        # OpenBLAS takes its threads so and in no other way before NumPy is imported; it is set there only.
        "workers/service/blas_threads.py",
        # TensorFlow takes the folder of its compiled programs as a flag in the environment and in no other way.
        "workers/wav2vec2/compile_cache.py",
        # Keras takes its backend from the environment, whoever sets it.
        "workers/wav2vec2/engines/choice.py",
        # TensorFlow takes the level of its own log from the environment and in no other way.
        "workers/service/quiet_tensorflow.py",
        # These read no setting: they choose what their child processes inherit.
        "workers/processes/child.py",
        "streams/doctor/environment.py",
        "streams/local/hidden_settings.py",
        "streams/local/system.py",
        "streams/web/trial/plot.py",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_BOOTSTRAP", "kafka"),
        ("KAFKA_BOOTSTRAP", "kafka:"),
        ("KAFKA_BOOTSTRAP", "kafka:99999"),
        ("KAFKA_BOOTSTRAP", "PLAINTEXT://kafka:9092"),
        ("KAFKA_BOOTSTRAP", "kafka:9092,"),
        ("KAFKA_BOOTSTRAP", "kafka-0:9092 kafka-1:9092"),
        ("KAFKA_BOOTSTRAP", "::1:9092"),
        ("REDIS_URL", "redis.example:6379"),
        ("REDIS_URL", "http://redis.example"),
        ("REDIS_URL", "redis://h1dden@redis:port"),
        ("REDIS_URL", "unix://"),
        ("SCHEMA_REGISTRY_URL", "registry:8081"),
        ("SCHEMA_REGISTRY_URL", "https://user:h1dden@"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_with_its_form(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name}: .* is not ") as refused:
        Settings.load()
    assert "h1dden" not in str(refused.value)


@pytest.mark.parametrize("value", ["kafka:9092", "a:1, b:2", "[::1]:9092", "10.0.0.1:65535"])
def test_addresses_of_brokers_are_accepted(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", value)
    assert Settings.load().kafka_bootstrap == value


def test_what_may_hold_a_secret_is_one() -> None:
    known = {"kafka_password", "webhook_secret", "database_url", "redis_url", "audit_key"}
    assert {name for name in known if is_secret(name)} == known
    assert not is_secret("partitions")
