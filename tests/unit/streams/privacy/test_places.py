"""What an erasure asks of places: whom a value names, and what a trial adds up to."""

import pytest

from streams.privacy.places import Person, Trial

PERSON = Person("p}1", bytes(range(16)))


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"p}1", True),
        (b"drift:{p%7D1}", True),
        (b"\x06p}1\x82\xdc\xae", True),
        (b"p}12", False),
        (b"p}1-b", False),
        (b"p}12 and p}1", True),
        (b"", False),
    ],
)
def test_a_name_is_found_but_not_as_the_beginning_of_another(data: bytes, named: bool) -> None:
    assert PERSON.named_in(data) == named


def test_somebody_whose_pseudonym_is_not_known_is_named_nowhere() -> None:
    assert not Person("", bytes(16)).named_in(b"drift:{} anything")


def test_a_person_is_called_by_the_subject_and_by_the_pseudonym() -> None:
    assert PERSON.names == ("000102030405060708090a0b0c0d0e0f", "p}1")


def test_trials_add_up_and_fail_for_whatever_is_left() -> None:
    assert Trial(1, 2, 3, 4, 5) + Trial(1, 1, 1, 1, 1) == Trial(2, 3, 4, 5, 6)
    assert Trial(tried=9, sealed=3, kept=1).passed
    assert not Trial(opened=1).passed
    assert not Trial(named=1).passed
