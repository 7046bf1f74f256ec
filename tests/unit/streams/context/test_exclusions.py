"""Times that are left out: stored, changed and taken back."""

from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from schemas.errors import UnreadableState
from streams.context.exclusions import MOST, Exclusion, dump, left_out, load, with_exclusion

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
START_S = START.timestamp()
DAY_S = 86400.0


def test_a_memo_is_left_out_from_the_start_of_a_mark_up_to_its_end() -> None:
    marks = {"a": Exclusion(START_S, START_S, START_S + DAY_S)}
    assert left_out(marks, START)
    assert left_out(marks, START + timedelta(hours=23))
    assert not left_out(marks, START + timedelta(days=1))
    assert not left_out(marks, START - timedelta(seconds=1))
    assert not left_out({}, START)


def test_a_mark_without_an_end_holds_on() -> None:
    marks = load(dump({"a": Exclusion(START_S, START_S, inf)}))
    assert left_out(marks, START + timedelta(days=9999))


def test_of_each_mark_the_latest_word_counts_whatever_the_order() -> None:
    first, later = Exclusion(START_S, START_S, inf), Exclusion(START_S + 9, START_S, START_S)
    assert with_exclusion(with_exclusion({}, "a", first), "a", later) == {"a": later}
    assert with_exclusion(with_exclusion({}, "a", later), "a", first) == {"a": later}
    known = {"a": first}
    assert with_exclusion(known, "a", first) is known


def test_the_newest_marks_are_kept_and_equal_ones_give_equal_bytes() -> None:
    marks = {f"m{number}": Exclusion(START_S + number, START_S, inf) for number in range(MOST + 5)}
    kept = load(dump(marks))
    assert list(kept) == [f"m{number}" for number in range(5, MOST + 5)]
    assert dump(dict(reversed(list(kept.items())))) == dump(kept)
    assert load(None) == {}


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x02\x90", b"\x01\x91\x94\xa1a\xcb\x7f\xf8\0\0\0\0\0\0\0\0", b"\x01\x91\x94\xa1a\x01\x05\x02"],
    ids=["empty", "headless", "newer", "nan", "backwards"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableState):
        load(data)
