"""Names of callers."""

import asyncio
from typing import Any

import pytest

from streams.key_service.callers import OTHER, UNNAMED, caller_of, label_of, name_in


class Transport(asyncio.BaseTransport):
    """A connection that says this of itself."""

    def __init__(self, **said: object) -> None:
        super().__init__(said)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (((("commonName", "bridge"),),), "bridge"),
        (((("organizationName", "clinic"),), (("commonName", "bridge"),)), "bridge"),
        (((("commonName", "bridge"),), (("commonName", "agents"),)), UNNAMED),
        (((("commonName", "bridge"), ("commonName", "agents")),), UNNAMED),
        (((("organizationName", "bridge"),),), UNNAMED),
        (((("commonName", ""),),), UNNAMED),
        ((), UNNAMED),
    ],
)
def test_a_certificate_has_one_name_or_none(subject: Any, name: str) -> None:
    assert name_in({"subject": subject}) == name
    assert caller_of(Transport(peercert={"subject": subject})) == name


def test_a_socket_is_named_by_its_file_and_an_address_by_nothing() -> None:
    assert caller_of(Transport(sockname="/run/keys/bridge-fhir.sock")) == "bridge-fhir"
    assert caller_of(Transport(sockname=("127.0.0.1", 8471))) == UNNAMED
    assert caller_of(Transport(peercert={}, sockname="/run/keys/agents.sock")) == UNNAMED


def test_strangers_share_one_label() -> None:
    assert (label_of("agents"), label_of("anybody")) == ("agents", OTHER)
