"""Store keys: what they wrap, and the derivation of keys."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from workers.privacy.store_keys import StoreKey, digest_of, expand

SUBJECT = bytes(range(16))


@pytest.mark.parametrize("length", [16, 32, 33, 64, 96])
def test_derivation_is_that_of_rfc_5869(length: int) -> None:
    reference = HKDFExpand(SHA256(), length, b"purpose").derive(b"k" * 32)
    assert expand(b"k" * 32, b"purpose", length) == reference


def test_a_wrapped_key_opens_for_its_person_epoch_and_version_only() -> None:
    key = StoreKey(1, b"s" * 32)
    wrapped = key.wrap(SUBJECT, 7, b"data key")
    assert key.unwrap(SUBJECT, 7, wrapped) == b"data key"
    assert key.unwrap(bytes(16), 7, wrapped) is None
    assert key.unwrap(SUBJECT, 8, wrapped) is None
    assert StoreKey(2, b"s" * 32).unwrap(SUBJECT, 7, wrapped) is None
    assert StoreKey(1, b"t" * 32).unwrap(SUBJECT, 7, wrapped) is None


@pytest.mark.parametrize("damaged", [b"", b"short", bytes(12), bytes(60)])
def test_a_damaged_row_opens_nothing(damaged: bytes) -> None:
    assert StoreKey(1, b"s" * 32).unwrap(SUBJECT, 7, damaged) is None


def test_names_differ_by_version_and_pseudonym() -> None:
    macs = {StoreKey(1, bytes([key]) * 32).mac(digest_of(user)) for key in (1, 2) for user in ("ann", "ben", "ann\x00")}
    assert len(macs) == 6
    assert StoreKey(1, bytes([1]) * 32).mac(digest_of("ann")) in macs
