"""Whose a record is, by its key."""

import pytest

from workers.privacy.clear_records import NO_PERSON, is_subject, person_of


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"a\nb", b"x" * 200, NO_PERSON.encode()], ids=repr)
def test_a_key_that_is_no_pseudonym_is_of_nobody(key: bytes | None) -> None:
    assert person_of(key) == NO_PERSON


@pytest.mark.parametrize("key", ["ann", "Ann Smith", "ä" * 10, "0" * 32])
def test_a_pseudonym_is_its_person(key: str) -> None:
    assert person_of(key.encode()) == key


def test_a_subject_has_32_hexadecimal_digits() -> None:
    assert is_subject(b"0123456789abcdef" * 2)
    assert not any(map(is_subject, (None, b"", b"0" * 31, b"0" * 33, b"G" + b"0" * 31, b"A" * 32)))
