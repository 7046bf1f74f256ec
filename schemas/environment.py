"""Names of environment variables: those of settings, and which others look like a mistake. Loads no library.

A variable that no setting has is ignored, so a misspelt one would silently leave the default in force.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

PREFIX = "UNDERTONE_"
PLAIN = ("KAFKA_BOOTSTRAP", "REDIS_URL", "SCHEMA_REGISTRY_URL", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables that platforms already set: they have no prefix."""
SECRETS_DIR = "UNDERTONE_SECRETS_DIR"
"""The folder with a file for each setting that is a secret."""
NO_SETTINGS = frozenset({SECRETS_DIR, "UNDERTONE_CHAOS_SEED", "UNDERTONE_REQUIRE", "UNDERTONE_SHARED"})
"""Ours without being a setting: where secrets are, and what tests read."""

_LIKE_PLAIN = ("KAFKA_", "REDIS_", "SCHEMA_REGISTRY_")
_PREFIX_LIKE, _PLAIN_LIKE, _FIELD_LIKE = 0.8, 0.75, 0.6
"""Similarities, by difflib, from which a name counts as a misspelling of another."""
_SERVICE = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
"""Variables that Kubernetes sets for a Service: `NAME_SERVICE_HOST`, `NAME_PORT_9090_TCP_ADDR` and so on."""


def variable(field: str) -> str:
    """The environment variable of a setting.

    >>> variable("window_s"), variable("redis_url")
    ('UNDERTONE_WINDOW_S', 'REDIS_URL')
    """
    name = field.upper()
    return name if name in PLAIN else PREFIX + name


def unknown_variables(given: Mapping[str, str], fields: Collection[str]) -> Iterator[str]:
    """A sentence about each variable that looks like a setting and is none, with the nearest name.

    given: the environment, or names of files in the folder of secrets with any value; fields: of Settings. A variable
    without our prefix counts only while the setting that it resembles is not given: another program may read it.

    >>> list(unknown_variables({"UNDERTONE_ALERT_PER_USER_YEAR": "2"}, ["alerts_per_user_year"]))
    ['UNDERTONE_ALERT_PER_USER_YEAR is no setting and is ignored; did you mean UNDERTONE_ALERTS_PER_USER_YEAR?']
    """
    upper = {name.upper() for name in given}
    known = {variable(field) for field in fields}
    accepted = known | {PREFIX + name for name in PLAIN} | NO_SETTINGS
    for name, value in given.items():
        if name.upper() not in accepted and not _of_a_service(name.upper(), value):
            if _has_prefix(name.upper()):
                yield _sentence(name, _nearest(name.upper(), known))
            elif name.upper().startswith(_LIKE_PLAIN):
                near = get_close_matches(name.upper(), PLAIN, 1, _PLAIN_LIKE)
                if near and near[0] not in upper and PREFIX + near[0] not in upper:
                    yield _sentence(name, near[0])


def _has_prefix(name: str) -> bool:
    """Whether a name begins with our prefix, or with a misspelling of it."""
    return name.startswith(PREFIX) or bool(get_close_matches(name.partition("_")[0] + "_", [PREFIX], 1, _PREFIX_LIKE))


def _nearest(name: str, known: Collection[str]) -> str | None:
    """The setting whose name resembles this one most, compared without the prefix that all of them share."""
    by_field = {each.removeprefix(PREFIX): each for each in known}
    near = get_close_matches(name.partition("_")[2], by_field, 1, _FIELD_LIKE)
    return by_field[near[0]] if near else None


def _of_a_service(name: str, value: str) -> bool:
    return bool(_SERVICE.search(name)) or (name.endswith("_PORT") and "://" in value)


def _sentence(name: str, nearest: str | None) -> str:
    advice = f"did you mean {nearest}?" if nearest else "docs/settings.md lists the settings"
    return f"{name} is no setting and is ignored; {advice}"
