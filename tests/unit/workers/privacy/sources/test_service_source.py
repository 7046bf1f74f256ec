"""How a look-up is cut into requests; the service itself is in tests/integration/test_key_service.py."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from tests.keys import sealing
from workers.privacy.sources import messages
from workers.privacy.sources.lookup import Lookup
from workers.privacy.sources.service_source import ServiceSource, parts_of


def test_a_long_look_up_becomes_requests_about_people_of_their_own() -> None:
    users = [f"user {number}" for number in range(messages.PEOPLE + 1)]
    subjects = [number.to_bytes(16, "big") for number in range(2 * messages.PEOPLE + 1)]
    known = dict(zip(users, subjects, strict=False))
    met = frozenset((subject, 3) for subject in subjects)
    frames = frozenset((subject, 2) for subject in subjects)
    lookup = Lookup(5, frozenset(users), frames, True, dict.fromkeys(users, 7.0), known, met)
    parts = [*parts_of(lookup)]
    assert [(len(part.users), len(part.frames)) for part in parts] == [
        (messages.PEOPLE, 0),
        (1, 0),
        (0, messages.PEOPLE),
        (0, messages.PEOPLE),
        (0, 1),
    ]
    assert frozenset().union(*(part.users for part in parts)) == lookup.users
    assert frozenset().union(*(part.frames for part in parts)) == frames
    for part in parts:
        own = set((part.known or {}).values()) | {subject for subject, _ in part.frames}
        assert {subject for subject, _ in part.met} == own
        assert set(part.since if isinstance(part.since, dict) else ()) == part.users
        assert part.enrol == bool(part.users)
        assert len(messages.encoded(messages.Asked.of(part, ()))) < messages.BODY_BYTES


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("text")
    files = {"key_service_certificate": text, "key_service_key": text}
    url = "https://127.0.0.1:1"
    with pytest.raises(ConfigurationError, match="UNDERTONE_KEY_SERVICE_CA: cannot read"):
        ServiceSource.open(sealing(tmp_path, key_service_url=url, key_service_ca=text, **files))
    with pytest.raises(ConfigurationError, match="by certificate alone"):
        ServiceSource.open(sealing(tmp_path, key_service_url=url, **files))
