from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from schemas.limit_types import (
    Alphabet,
    Limit,
    codes,
    digest,
    flag,
    floats,
    headers,
    items,
    maybe,
    moment,
    number,
    octets,
    text,
    utf8_length,
    whole,
)

PRINTABLE = text(1, 8, Alphabet.PRINTABLE)
CODE = text(1, 8, Alphabet.CODE)
CODES = codes(3, 8)
NUMBER = number(-1, 1)
HEADERS = headers(2, 6)
AT = datetime(2000, 1, 1, tzinfo=UTC)

ACCEPTED: list[tuple[Limit, Any]] = [
    (PRINTABLE, "a"),
    (PRINTABLE, "é b 中"),
    (PRINTABLE, "x" * 8),
    (PRINTABLE, "[/x]"),
    (text(0, 8, Alphabet.PRINTABLE), ""),
    (text(0, 8, Alphabet.ANY), "\x1b\n "),
    (CODE, "a:b~!"),
    (CODES, ()),
    (CODES, ("a", "b:c", "x" * 8)),
    (digest(), "aB" * 32),
    (NUMBER, -1),
    (NUMBER, 1.0),
    (NUMBER, np.float32(0.5)),
    (number(0, 1, above=True), 1e-9),
    (whole(0, 9), 9),
    (flag(), False),
    (moment(2000, 2001), AT),
    (moment(2000, 2001), datetime(2001, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    (moment(2000, 2001), datetime(2000, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    (octets(3), b"abc"),
    (items(2, CODE), ["a", "b"]),
    (items(2, None), (object(), object())),
    (floats(1, 3), np.zeros(3, np.float32)),
    (floats(2, 3, undefined=True), np.full((1, 3), np.nan, np.float32)),
    (HEADERS, {"a": b"bc", "é": b""}),
    (HEADERS, {}),
    (maybe(CODE), None),
    (maybe(CODE), "a"),
]
REFUSED: list[tuple[Limit, list[Any]]] = [
    (PRINTABLE, ["", "x" * 9, "ééééé", " a", "a ", "a\n", "\x1b[2J", "\x9b", "a\x7f", "\u202ea", b"a", None, 1]),
    (PRINTABLE, ["a\u2028b", "\u200bx", "\ud800", "a\x00", "\xa0a"]),
    (CODE, ["", "a b", "é", "a\n", "\n", "a\x1b", "x" * 9, ["a"], None]),
    (CODES, [("a",) * 4, ("",), ("a b",), ("a", "b\n"), ("x" * 9,), "abc", (b"a",), None, {"a"}]),
    (digest(), ["", "ab", "g" * 64, "ab" * 33, "ab" * 31 + "a\n", None]),
    (NUMBER, [1.0001, float("nan"), float("inf"), -float("inf"), "1", None, AT, [1], np.zeros(2)]),
    (number(0, 1, above=True), [0.0]),
    (whole(0, 9), [-1, 10, 1.5, "1", None]),
    (flag(), [1, None, "true"]),
    (moment(2000, 2001), [AT - timedelta(microseconds=1), datetime(2002, 1, 1, tzinfo=UTC)]),
    (moment(2000, 2001), [datetime(2000, 6, 1), 946_684_800_000, None]),
    (octets(3), [b"abcd", "abc", None]),
    (items(2, CODE), [["a", "b", "c"], ["a b"], "ab", None, [1]]),
    (floats(1, 3), [np.zeros(4), np.zeros((1, 3)), np.array([np.nan]), np.array([np.inf]), [1.0]]),
    (floats(1, 3, undefined=True), [np.array([-np.inf])]),
    (HEADERS, [{"a": b"", "b": b"", "c": b""}, {"abc": b"defg"}, {"a": None}, {1: b""}, [], {"\ud800": b""}]),
    (maybe(CODE), [""]),
]


@pytest.mark.parametrize(("limit", "value"), ACCEPTED)
def test_a_value_within_its_limit_is_accepted(limit: Limit, value: Any) -> None:
    assert limit.accepts(value)


@pytest.mark.parametrize(("limit", "values"), REFUSED)
def test_any_other_value_is_refused_without_an_error(limit: Limit, values: list[Any]) -> None:
    assert [value for value in values if limit.accepts(value)] == []


def test_rules_complete_a_sentence() -> None:
    assert PRINTABLE.rule == "1 to 8 bytes, printable, without spaces at the ends"
    assert CODES.rule == "at most 3 items, each 1 to 8 bytes of visible ASCII"
    assert text(0, 4096, Alphabet.ANY).rule == "at most 4,096 bytes of UTF-8"
    assert number(0, 86_400, above=True).rule == "a number above 0, at most 86,400"
    assert maybe(number(0, 1)).rule == "null, or a number from 0 to 1"
    assert floats(2, 10).rule == "an array of 2 axes with at most 10 elements, each finite"
    assert HEADERS.rule == "at most 2 headers of 6 bytes together"


def test_keywords_say_the_same_for_programs() -> None:
    assert CODE.keywords == {"minLength": 1, "maxLength": 8, "pattern": "^[!-~]*$"}
    assert moment(1970, 1970).keywords == {"minimum": 0, "maximum": 365 * 86_400_000 - 1}
    assert number(0, 1, above=True).keywords == {"exclusiveMinimum": 0, "maximum": 1}
    assert items(2, CODE).keywords == {"maxItems": 2}


@pytest.mark.parametrize(("value", "length"), [("", 0), ("abc", 3), ("é中", 5), ("\ud800", -1)])
def test_length_is_counted_in_utf8(value: str, length: int) -> None:
    assert utf8_length(value) == length
