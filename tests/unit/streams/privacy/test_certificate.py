"""A certificate verifies as it was written, and not with any byte changed."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.privacy.certificate import FORMAT, NotCertified, Statement, canonical, public_bytes, signed, verified

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
STATEMENT: dict[str, Statement] = {
    "format": FORMAT,
    "subject": "ab" * 16,
    "removed": {"Redis": 3},
    "reason": "asked by größte Klinik",
}
FILE = signed(STATEMENT, KEY)


def test_it_says_what_was_signed() -> None:
    assert verified(FILE) == STATEMENT
    assert verified(FILE, public_bytes(KEY.public_key())) == STATEMENT
    assert signed(dict(reversed(list(STATEMENT.items()))), KEY) == FILE, "the same bytes for whoever writes it"


def test_it_fails_with_any_byte_changed_to_any_other() -> None:
    passed = []
    for place in range(len(FILE)):
        for byte in set(range(256)) - {FILE[place]}:
            try:
                verified(FILE[:place] + bytes([byte]) + FILE[place + 1 :])
            except NotCertified:
                continue
            passed.append((place, byte))
    assert passed == []


def test_it_fails_with_any_byte_removed_and_cut_anywhere() -> None:
    for place in range(len(FILE)):
        for changed in (FILE[:place], FILE[:place] + FILE[place + 1 :]):
            with pytest.raises(NotCertified):
                verified(changed)


@given(st.binary(min_size=1, max_size=3), st.integers(0, len(FILE)))
@settings(max_examples=50, deadline=None)
def test_it_fails_with_bytes_inserted(inserted: bytes, place: int) -> None:
    changed = FILE[:place] + inserted + FILE[place:]
    if changed != FILE:
        with pytest.raises(NotCertified):
            verified(changed)


def test_it_fails_with_another_key() -> None:
    with pytest.raises(NotCertified, match="another key"):
        verified(signed(STATEMENT, OTHER), public_bytes(KEY.public_key()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]\n",
        b"[" * 100_000,
        b'{"certificate":{},"signature":{}}\n',
        canonical({"certificate": {"format": FORMAT}, "signature": 1}) + b"\n",
        b" " * (1 << 21),
    ],
)
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(NotCertified):
        verified(data)


def test_fields_that_no_signature_covers_are_refused() -> None:
    document = json.loads(FILE) | {"note": "trust me"}
    with pytest.raises(NotCertified, match="no signature covers"):
        verified(canonical(document) + b"\n")


def test_fractions_are_refused() -> None:
    with pytest.raises(ValueError, match="fractions"):
        canonical({"a": [0.5]})  # type: ignore[list-item]
