"""Which variables look like a setting and are none."""

import pytest

from schemas.environment import unknown_variables, variable
from schemas.settings import Settings

FIELDS = [*Settings.model_fields]


def warnings(**given: str) -> list[str]:
    return [*unknown_variables(given, FIELDS)]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("UNDERTONE_ALERT_PER_USER_YEAR", "UNDERTONE_ALERTS_PER_USER_YEAR"),
        ("UNDERTONE_MODALITY", "UNDERTONE_MODALITIES"),
        ("UNDERTONE_METRIC_PORT", "UNDERTONE_METRICS_PORT"),
        ("undertone_bundel", "UNDERTONE_BUNDLE"),
        ("UNDERTON_BUNDLE", "UNDERTONE_BUNDLE"),
        ("UNDERTONE_KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP"),
        ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP"),
        ("KAFKA_BOOSTRAP", "KAFKA_BOOTSTRAP"),
        ("REDIS_URI", "REDIS_URL"),
        ("SCHEMA_REGISTRY_URI", "SCHEMA_REGISTRY_URL"),
    ],
)
def test_a_misspelt_setting_is_told_with_the_nearest_name(name: str, nearest: str) -> None:
    assert warnings(**{name: "1"}) == [f"{name} is no setting and is ignored; did you mean {nearest}?"]


def test_a_name_that_resembles_no_setting_leads_to_the_list() -> None:
    assert warnings(UNDERTONE_QQQ="1") == [
        "UNDERTONE_QQQ is no setting and is ignored; docs/settings.md lists the settings"
    ]


def test_every_setting_is_known_in_either_case_and_those_of_platforms_with_the_prefix_too() -> None:
    names = [variable(field) for field in FIELDS]
    assert warnings(**dict.fromkeys([*names, *map(str.lower, names)], "1")) == []
    assert warnings(UNDERTONE_KAFKA_BOOTSTRAP="a:1", UNDERTONE_LOG_LEVEL="INFO") == []


def test_what_is_documented_and_no_setting_is_not_told() -> None:
    assert warnings(UNDERTONE_SECRETS_DIR="/run/secrets", UNDERTONE_REQUIRE="kafka", UNDERTONE_SHARED="x") == []


def test_variables_that_kubernetes_sets_for_services_are_not_told() -> None:
    services: dict[str, str] = {}
    for service in ("UNDERTONE_ACOUSTIC", "UNDERTONE", "KAFKA_BOOTSTRAP", "REDIS"):
        services |= {
            f"{service}_SERVICE_HOST": "10.0.0.1",
            f"{service}_SERVICE_PORT": "9090",
            f"{service}_SERVICE_PORT_METRICS": "9090",
            f"{service}_PORT": "tcp://10.0.0.1:9090",
            f"{service}_PORT_9090_TCP": "tcp://10.0.0.1:9090",
            f"{service}_PORT_9090_TCP_ADDR": "10.0.0.1",
        }
    assert warnings(**services) == []


def test_a_variable_of_another_program_counts_only_while_ours_is_not_given() -> None:
    assert warnings(KAFKA_BOOTSTRAP_SERVERS="a:1", KAFKA_BOOTSTRAP="a:1") == []
    assert warnings(REDIS_URI="redis://a", undertone_redis_url="redis://a") == []
    assert warnings(KAFKA_HEAP_OPTS="-Xmx1g", REDIS_HOST="a", PATH="/bin", HOME="/root", UNDER_TEST="1") == []
