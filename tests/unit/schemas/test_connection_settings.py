import re
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings

SASL = {"kafka_security": "SASL_SSL", "kafka_mechanism": "PLAIN", "kafka_user": "u", "kafka_password": "hunter2"}
BEARER = {"kafka_security": "SASL_SSL", "kafka_mechanism": "OAUTHBEARER"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kafka_security": "SASL_SSL"}, "UNDERTONE_KAFKA_MECHANISM"),
        ({"kafka_mechanism": "PLAIN"}, "UNDERTONE_KAFKA_SECURITY"),
        ({**SASL, "kafka_user": None}, "PLAIN needs UNDERTONE_KAFKA_USER and UNDERTONE_KAFKA_PASSWORD"),
        (BEARER, "UNDERTONE_KAFKA_TOKEN_FILE or UNDERTONE_KAFKA_TOKEN_URL"),
        ({**BEARER, "kafka_token_url": "http://a/"}, "UNDERTONE_KAFKA_CLIENT_ID"),
        ({"kafka_ca": Path("ca.pem")}, "UNDERTONE_KAFKA_CA has no use"),
        ({"kafka_security": "SSL", "kafka_certificate": Path("c.pem")}, "UNDERTONE_KAFKA_CERTIFICATE and"),
        ({"redis_key": Path("k.pem")}, "UNDERTONE_REDIS_CERTIFICATE and UNDERTONE_REDIS_KEY"),
        ({"kafka_security": "TLS"}, "UNDERTONE_KAFKA_SECURITY: Input should be"),
        ({"kafka_bootstrap": "ho st:9092"}, "'ho st:9092' is not host:port"),
        ({"kafka_bootstrap": "[]:9092"}, "'[]:9092' is not host:port"),
        ({"kafka_bootstrap": "kafka://user:hunter2@host:9092"}, "'***@host:9092' is not host:port"),
    ],
)
def test_what_does_not_go_together_is_reported_by_its_variables(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)) as refused:
        Settings.load(**given)
    assert "hunter2" not in str(refused.value)


def test_no_secret_is_printed_and_children_get_it() -> None:
    settings = Settings.load(**SASL, log_key="hunter2", redis_password="hunter2")
    assert "hunter2" not in repr(settings)
    environment = settings.child_environment()
    assert environment["UNDERTONE_KAFKA_PASSWORD"] == environment["UNDERTONE_LOG_KEY"] == "hunter2"


def test_a_password_can_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "undertone_kafka_password").write_text("from a file")
    monkeypatch.setenv("UNDERTONE_SECRETS_DIR", str(tmp_path))
    settings = Settings.load(**{name: value for name, value in SASL.items() if name != "kafka_password"})
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == "from a file"
