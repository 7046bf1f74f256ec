"""Kinds of limits of a field: a sentence for people, keywords for programs, and a check. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

Keywords: TypeAlias = Mapping[str, int | float | str]
"""Validation keywords of JSON Schema, which AsyncAPI's tools read in Avro schemas as well."""
Accepts: TypeAlias = Callable[[Any], bool]
"""Whether a value is within the limit. Never raises, whatever the type of the value."""

_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of a field. rule: what its value must be, as in "must be …"; keywords: what they can say of it.

    part: the record of the field, or of each item of the field, whose own fields have limits.
    """

    rule: str
    accepts: Accepts
    keywords: Keywords
    part: type[Any] | None = None


class Alphabet(StrEnum):
    """Which characters a text may have."""

    ANY = ""
    """Every character. Such text is escaped before it is shown."""
    PRINTABLE = ", printable, without spaces at the ends"
    """Letters and digits, marks and symbols of any script, and spaces between them. No control or format
    character: nothing that moves a cursor, breaks a line or reverses the direction of text."""
    CODE = " of visible ASCII"
    """`!` to `~`, without spaces."""

    @property
    def pattern(self) -> str:
        """A regular expression (ECMA-262, flag `u`) that matches all texts of this alphabet; empty for any."""
        if self is Alphabet.PRINTABLE:
            return r"^([^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*)?$"
        return "^[!-~]*$" if self is Alphabet.CODE else ""

    def matcher(self, least: int, most: int) -> Accepts:
        """Whether a text has `least` to `most` bytes of UTF-8, all in the alphabet."""
        if self is Alphabet.CODE:
            match = re.compile(f"[!-~]{{{least},{most}}}").fullmatch
            return lambda value: match(value) is not None
        if self is Alphabet.ANY:
            return lambda value: least <= utf8_length(value) <= most
        return lambda value: (
            value.isprintable() and least <= utf8_length(value) <= most and value[:1] != " " and value[-1:] != " "
        )


def text(least: int, most: int, alphabet: Alphabet) -> Limit:
    """A text of `least` to `most` bytes of UTF-8."""
    sizes = f"{least:,} to {most:,}" if least else f"at most {most:,}"
    # `maxLength` counts characters, each of one byte at least.
    keywords: dict[str, int | float | str] = {"minLength": min(least, 1), "maxLength": most}
    if alphabet.pattern:
        keywords["pattern"] = alphabet.pattern
    matches = alphabet.matcher(least, most)
    rule = f"{sizes} bytes{alphabet or ' of UTF-8'}"
    return Limit(rule, lambda value: isinstance(value, str) and matches(value), keywords)


def utf8_length(value: str) -> int:
    """Bytes of a text in UTF-8; -1 when it cannot be encoded, as a lone surrogate cannot."""
    if value.isascii():
        return len(value)
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        return -1


def digest() -> Limit:
    """A SHA-256 digest as text."""

    def accepts(value: Any) -> bool:
        return isinstance(value, str) and len(value) == 64 and _HEX.issuperset(value)

    return Limit("64 hexadecimal digits", accepts, {"pattern": "^[0-9A-Fa-f]{64}$"})


def number(least: float, most: float, *, above: bool = False) -> Limit:
    """A finite number from `least` to `most`. above: `least` itself is excluded."""

    def accepts(value: Any) -> bool:
        try:
            return bool(least < value <= most if above else least <= value <= most)
        except (TypeError, ValueError):
            return False

    keywords = {"exclusiveMinimum" if above else "minimum": least, "maximum": most}
    span = f"above {least:,g}, at most {most:,g}" if above else f"from {least:,g} to {most:,g}"
    return Limit(f"a number {span}", accepts, keywords)


def whole(least: int, most: int) -> Limit:
    """A whole number from `least` to `most`."""

    def accepts(value: Any) -> bool:
        return isinstance(value, (int, np.integer)) and bool(least <= value <= most)

    return Limit(f"a whole number from {least:,} to {most:,}", accepts, {"minimum": least, "maximum": most})


def flag() -> Limit:
    """True or false."""
    return Limit("true or false", lambda value: isinstance(value, (bool, np.bool_)), {})


def moment(first: int, last: int) -> Limit:
    """An aware time in the years `first` to `last`, UTC; its keywords count milliseconds since 1970."""
    start, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    keywords = {"minimum": round(start.timestamp() * 1000), "maximum": round(end.timestamp() * 1000) - 1}

    def accepts(value: Any) -> bool:
        return isinstance(value, datetime) and value.tzinfo is not None and start <= value < end

    return Limit(f"a time of the years {first} to {last}, UTC", accepts, keywords)


def octets(most: int) -> Limit:
    """Raw bytes."""
    return Limit(
        f"at most {most:,} bytes", lambda value: isinstance(value, bytes) and len(value) <= most, {"maxLength": most}
    )


def items(most: int, each: Limit | None) -> Limit:
    """A list. each: the limit of its items, None where they are of an enum."""

    def accepts(value: Any) -> bool:
        if not isinstance(value, (tuple, list)) or len(value) > most:
            return False
        return each is None or all(map(each.accepts, value))

    rule = f"at most {most:,} items" + ("" if each is None or each.part else f", each {each.rule}")
    return Limit(rule, accepts, {"maxItems": most}, part=each.part if each else None)


def codes(most: int, most_bytes: int) -> Limit:
    """A list of texts of 1 to `most_bytes` visible ASCII characters. Lists of a hundred are common: checked at once."""
    match = re.compile(f"(?:[!-~]{{1,{most_bytes}}} )*").fullmatch

    def accepts(value: Any) -> bool:
        if not isinstance(value, (tuple, list)) or len(value) > most:
            return False
        try:
            joined = " ".join((*value, ""))
        except TypeError:
            return False
        return joined.count(" ") == len(value) and match(joined) is not None

    rule = f"at most {most:,} items, each {text(1, most_bytes, Alphabet.CODE).rule}"
    return Limit(rule, accepts, {"maxItems": most})


def floats(rank: int, most: int, *, undefined: bool = False) -> Limit:
    """An array of `rank` axes. undefined: elements may be NaN; infinite ones never."""

    def accepts(value: Any) -> bool:
        if not isinstance(value, np.ndarray) or value.ndim != rank or value.size > most:
            return False
        return not np.isinf(value).any() if undefined else bool(np.isfinite(value).all())

    numbers = "finite or NaN" if undefined else "finite"
    axes = "1 axis" if rank == 1 else f"{rank} axes"
    return Limit(f"an array of {axes} with at most {most:,} elements, each {numbers}", accepts, {})


def headers(most: int, most_bytes: int) -> Limit:
    """Headers by name. most_bytes: of all names and values together."""

    def accepts(value: Any) -> bool:
        if not isinstance(value, Mapping) or len(value) > most:
            return False
        if not all(isinstance(name, str) and isinstance(each, bytes) for name, each in value.items()):
            return False
        sizes = [utf8_length(name) for name in value]
        return min(sizes, default=0) >= 0 and sum(sizes) + sum(map(len, value.values())) <= most_bytes

    return Limit(f"at most {most:,} headers of {most_bytes:,} bytes together", accepts, {})


def maybe(limit: Limit) -> Limit:
    """Null, or a value within `limit`."""
    accepts = limit.accepts
    return Limit(f"null, or {limit.rule}", lambda value: value is None or accepts(value), limit.keywords)
