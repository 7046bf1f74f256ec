"""What the doctor's child processes are given; `tests/integration/test_doctor.py` runs them."""

from schemas.settings import Settings
from streams.doctor.children import _environment


def test_a_child_that_computes_is_given_no_address_and_no_secret() -> None:
    given = _environment(
        Settings.load(
            kafka_bootstrap="kafka:9092",
            kafka_security="SASL_SSL",
            kafka_mechanism="PLAIN",
            kafka_user="doctor",
            kafka_password="hunter2",
            redis_url="rediss://:hunter2@store:6379/0",
            schema_registry_url="https://user:hunter2@registry",
            otel_exporter_otlp_endpoint="https://hunter2@collector",
            audio_max_s=60.0,
        )
    )
    assert "hunter2" not in "".join(given.values())
    assert not {"KAFKA_BOOTSTRAP", "REDIS_URL", "UNDERTONE_KAFKA_USER"} & given.keys()
    assert given["UNDERTONE_AUDIO_MAX_S"] == "60.0"
