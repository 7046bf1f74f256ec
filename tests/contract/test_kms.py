"""One contract for all key services."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, Transient
from schemas.key_purposes import LASTING
from tests.keys import TOKENS, sealing
from tests.servers import free_port
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_services.kms import Kms, VersionDestroyed, Wrapped, make_kms
from workers.privacy.key_tables import FILE

CONTEXT = b"undertone/store-key/1"


@pytest.fixture(params=["local", "pkcs11", "aws-kms"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """UNDERTONE_KMS of a key service that has no version yet."""
    if request.param == "local":
        return f"local:{tmp_path / 'keyset.json'}"
    return str(request.getfixturevalue("hsm" if request.param == "pkcs11" else "aws"))


@pytest.fixture
def kms(address: str, tmp_path: Path) -> Iterator[Kms]:
    """A key service with its first version."""
    service = make_kms(sealing(tmp_path, kms=address))
    service.create()
    yield service
    service.close()


def test_what_is_wrapped_opens_with_its_context_only(kms: Kms) -> None:
    wrapped = kms.wrap(b"k" * 32, CONTEXT)
    assert b"k" * 32 not in wrapped.blob
    assert kms.unwrap(wrapped, CONTEXT) == b"k" * 32
    for other in (
        Wrapped(wrapped.version, wrapped.blob[:-1]),
        Wrapped(wrapped.version, bytes(len(wrapped.blob))),
        Wrapped(wrapped.version, b""),
    ):
        with pytest.raises(ConfigurationError):
            kms.unwrap(other, CONTEXT)
    with pytest.raises(ConfigurationError):
        kms.unwrap(wrapped, b"undertone/store-key/2")


def test_a_rotation_keeps_what_was_wrapped(kms: Kms) -> None:
    before = kms.wrap(b"old", CONTEXT)
    version = kms.rotate()
    after = kms.wrap(b"new", CONTEXT)
    assert after.version == version != before.version
    assert kms.unwrap(before, CONTEXT) == b"old"
    assert kms.unwrap(after, CONTEXT) == b"new"


def test_a_version_that_was_destroyed_opens_nothing(kms: Kms) -> None:
    before = kms.wrap(b"old", CONTEXT)
    kms.rotate()
    receipt = kms.destroy(before.version)
    assert receipt.version == before.version
    assert receipt.service == kms.name
    assert receipt.at - datetime.now(UTC) < timedelta(days=31)
    assert kms.destroy(before.version)[::2] == receipt[::2]
    with pytest.raises(VersionDestroyed):
        kms.unwrap(before, CONTEXT)
    assert kms.unwrap(kms.wrap(b"new", CONTEXT), CONTEXT) == b"new"


def test_the_version_in_use_is_not_destroyed(kms: Kms) -> None:
    wrapped = kms.wrap(b"key", CONTEXT)
    with pytest.raises(ConfigurationError, match="in use"):
        kms.destroy(wrapped.version)
    assert kms.unwrap(wrapped, CONTEXT) == b"key"


def test_creating_it_again_keeps_what_is_there(kms: Kms) -> None:
    wrapped = kms.wrap(b"key", CONTEXT)
    kms.create()
    assert kms.unwrap(wrapped, CONTEXT) == b"key"


def test_a_service_without_a_version_makes_none_by_itself(address: str, tmp_path: Path) -> None:
    service = make_kms(sealing(tmp_path, kms=address))
    for call in (lambda: service.wrap(b"key", CONTEXT), service.rotate, lambda: service.destroy("1")):
        with pytest.raises(ConfigurationError, match="keys init"):
            call()
    service.close()


def test_a_directory_rotates_with_it_and_older_versions_open_nothing(address: str, tmp_path: Path) -> None:
    settings = sealing(tmp_path, kms=address)
    KeyDirectory.init(settings)
    directory = KeyDirectory.open(settings)
    subject = directory.enrol(["ann"])["ann"].id
    keys = directory.keys_of([(subject, LASTING)])
    older = (tmp_path / FILE).read_bytes(), (tmp_path / f"{FILE}-wal").read_bytes()
    assert len(directory.rotate_store_key().receipts) == 1
    assert directory.keys_of([(subject, LASTING)]) == keys
    directory.close()
    (tmp_path / FILE).write_bytes(older[0])
    (tmp_path / f"{FILE}-wal").write_bytes(older[1])
    with pytest.raises(ConfigurationError, match="older than the last rotation"):
        KeyDirectory.open(settings)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("pkcs11:/nowhere/lib.so", "token=LABEL"),
        ("pkcs11:?token=t", "token=LABEL"),
        ("pkcs11:lib.so?token=t&slot=1", "token=LABEL"),
        ("aws-kms:?region=eu-central-1", "ALIAS"),
        ("aws-kms:undertone?region=eu-central-1&profile=p", "ALIAS"),
        ("aws-kms:undertone?region=eu-central-1&endpoint=nowhere", "no URL"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make_kms(sealing(tmp_path, kms=address))


def test_a_service_that_does_not_answer_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.privacy.key_services.aws_kms.ATTEMPTS", 1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    nothing = f"aws-kms:undertone?region=eu-central-1&endpoint=http://127.0.0.1:{free_port()}"
    service = make_kms(sealing(tmp_path, kms=nothing))
    with pytest.raises(Transient, match="does not answer"):
        service.wrap(b"key", CONTEXT)
    service.close()


def test_a_token_that_is_away_is_waited_for_and_a_wrong_pin_is_not(hsm: str, tmp_path: Path) -> None:
    away = make_kms(sealing(tmp_path, kms=hsm.replace(TOKENS[0], "nowhere")))
    with pytest.raises(Transient, match="no token"):
        away.wrap(b"key", CONTEXT)
    refused = make_kms(sealing(tmp_path, kms=hsm.replace(TOKENS[0], TOKENS[1]).replace("pin=", "pin=9")))
    with pytest.raises(ConfigurationError, match="refuses this pin"):
        refused.wrap(b"key", CONTEXT)


def test_a_library_that_is_none_is_named(tmp_path: Path) -> None:
    service = make_kms(sealing(tmp_path, kms=f"pkcs11:{tmp_path / 'none.so'}?token=t"))
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        service.wrap(b"key", CONTEXT)
