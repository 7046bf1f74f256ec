"""Where the data of a person is stored in Redis while it is sealed: under the subject in place of the pseudonym. Pure.

    drift:{alice}         drift:{<subject>}~
    join:{alice}:memo-1   join:{<subject>}~:<memo id, sealed>
    quarantine:<key>      quarantine:<key as above>

A subject is 32 hexadecimal digits, as a pseudonym may be. Names in keys have no `}`, so `}~` is in no key in clear, and
neither is taken for the other.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.state_keys import QUARANTINE, STATE_KEYS, StateKey

SEALED = "}~"
"""After a subject."""
_ESCAPED = re.compile("%7D|%25")
_AT_REST = re.compile(r"([0-9a-f]{32})}~(?::([A-Za-z0-9_-]*))?")
_ROWS: Mapping[str, StateKey] = {row.prefix: row for row in STATE_KEYS if "<user_id>" in row.pattern}
_AFTER: Mapping[str, str] = {prefix: re.split(r"<\w+>", row.pattern)[1] for prefix, row in _ROWS.items()}
"""What follows the pseudonym: `}`, or `}:` before another name, with which the key ends."""


class PersonalKey(NamedTuple):
    """A key in clear. names: those after the pseudonym; quarantined: whether it is where that key's value is kept."""

    row: StateKey
    user_id: str
    names: tuple[str, ...] = ()
    quarantined: bool = False

    def at_rest(self, subject: bytes, seal: Callable[[str], str]) -> "SealedKey":
        """The key of this subject. seal: makes a token of a name, always the same."""
        return SealedKey(self.row, subject, tuple(map(seal, self.names)), self.quarantined)

    @property
    def text(self) -> str:
        """The key."""
        key = self.row.key(self.user_id, *self.names)
        return QUARANTINE.key(key) if self.quarantined else key


class SealedKey(NamedTuple):
    """A key at rest. tokens: the names after the subject, sealed."""

    row: StateKey
    subject: bytes
    tokens: tuple[str, ...] = ()
    quarantined: bool = False

    def in_clear(self, user_id: str, opened: Callable[[str], str]) -> PersonalKey:
        """The key of this pseudonym. opened: the name of a token."""
        return PersonalKey(self.row, user_id, tuple(map(opened, self.tokens)), self.quarantined)

    @property
    def bound(self) -> str:
        """What the value is sealed to: the key, and in quarantine the former key."""
        tail = f":{self.tokens[0]}" if self.tokens else ""
        return f"{self.row.prefix}{self.subject.hex()}{SEALED}{tail}"

    @property
    def text(self) -> str:
        """The key."""
        return QUARANTINE.prefix + self.bound if self.quarantined else self.bound


def personal_key(key: str) -> PersonalKey | None:
    """A key in clear that is of one person; None for any other.

    >>> personal_key("join:{a%7Db}:m")[1:]
    ('a}b', ('m',), False)
    >>> personal_key("drift-pool")
    """
    inner = key.removeprefix(QUARANTINE.prefix)
    begin = inner.find("{") + 1
    prefix = inner[:begin]
    row = _ROWS.get(prefix)
    if row is None:
        return None
    after = _AFTER[prefix]
    end = inner.find("}", begin) if row.escaped else len(inner) - 1
    if not inner.startswith(after, end):
        return None
    rest = inner[end + len(after) :]
    if after == "}":
        names: tuple[str, ...] = ()
        if rest:
            return None
    else:
        names = (_unescaped(rest),)
    return PersonalKey(row, _unescaped(inner[begin:end]) if row.escaped else inner[begin:end], names, inner != key)


def sealed_key(key: str) -> SealedKey | None:
    """A key at rest; None for a key in clear.

    >>> sealed_key("drift:{000102030405060708090a0b0c0d0e0f}~").subject.hex()
    '000102030405060708090a0b0c0d0e0f'
    >>> sealed_key("drift:{000102030405060708090a0b0c0d0e0f}")
    """
    inner = key.removeprefix(QUARANTINE.prefix)
    prefix = inner[: inner.find("{") + 1]
    found = _AT_REST.fullmatch(inner, len(prefix)) if prefix in _ROWS else None
    if found is None or (found[2] is None) is not (_AFTER[prefix] == "}"):
        return None
    tokens = () if found[2] is None else (found[2],)
    return SealedKey(_ROWS[prefix], bytes.fromhex(found[1]), tokens, inner != key)


def _unescaped(name: str) -> str:
    """The inverse of what `StateKey.key` does with a name."""
    return _ESCAPED.sub(lambda found: "}" if found[0] == "%7D" else "%", name) if "%" in name else name
