"""How rows of people rest: in clear, or sealed. Queries know people by pseudonym; these functions are at their edges.

A sealed row has the person's subject as its `user_id`, and one frame under the person's lasting key with the columns
that `Hidden` marks. Table, subject and primary key are authenticated with it: moved to another row it does not open.

A person's rows have one form. What `UNDERTONE_SEAL` says is written; the other form is read, and
`streams/history/writes/conversion.py` takes it over before a person's rows are written.
"""

import hmac
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Column, Connection, Table, select

from schemas.errors import Erased, Transient, Unknown
from schemas.key_purposes import LASTING, Purpose
from schemas.sealed_frame import SEALED_MAGIC, SUBJECT_BYTES
from schemas.settings import Settings
from streams.history.tables import FACTS, Hidden
from workers.privacy import sealing as border
from workers.privacy.envelope import open_field, seal_field
from workers.privacy.keyring import Keyring

OPTION = "undertone_sealing"
"""Execution option of a database's connections: its RowSealing."""
FACT = "sealed"
"""Fact: rows of people were sealed, so both forms are looked for."""
LOOK_S = 5.0
"""Seconds after which a process that writes in clear looks for the fact again, while it reads."""
SUBJECT = re.compile(f"[0-9a-f]{{{2 * SUBJECT_BYTES}}}")


class RowSealing:
    """Of one database, with the keys of the process."""

    def __init__(self, settings: Settings) -> None:
        self.on = settings.seal == "on"
        """Whether rows are written sealed."""
        self._border = border.sealing_of(settings)
        self._met, self._looked_at = self.on, float("-inf")

    @property
    def keyring(self) -> Keyring:
        """The keys, opened at first use. Raises Transient and ConfigurationError."""
        return self._border.keyring

    def met(self, connection: Connection, at_once: bool = False) -> bool:
        """Whether there may be sealed rows. at_once: look, however short ago that was."""
        if not self._met and (at_once or time.monotonic() - self._looked_at > LOOK_S):
            self._met = connection.scalar(select(FACTS.c.value).where(FACTS.c.name == FACT)) is not None
            self._looked_at = time.monotonic()
        return self._met

    def subjects(self, users: Collection[str], enrol: bool = False) -> dict[str, bytes]:
        """Subjects of those of these people who have one and are not erased. Raises Transient.

        enrol: who has no subject gets one, unless they were erased.
        """
        self.keyring.warm_now(users=users, enrol=enrol)
        found = {}
        for user in users:
            with suppress(Erased, Unknown):
                found[user] = self.keyring.subject(user)
        return found

    def warm(self, subjects: Iterable[bytes]) -> None:
        """Read the keys and pseudonyms of these subjects, where memory lacks them. Raises Transient."""
        self.keyring.warm_now(frames=[(subject, LASTING) for subject in subjects])

    def digest(self, subject: bytes, table: Table, column: str, value: str) -> str:
        """In place of an id, by which a sealed row is found again: HMAC-SHA256, half of it in hex."""
        key = hmac.digest(self.keyring.subkey(subject, LASTING, Purpose.SQL), b"undertone sql digest", sha256)
        return hmac.digest(key, f"{table.name}|{column}|{value}".encode(), sha256)[:16].hex()

    def sealed(self, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with all of its hidden columns, or with none, as it is stored. Raises Erased and Unknown."""
        shape, user = shape_of(table), row["user_id"]
        subject = self.keyring.subject(user)
        stored = {**row, "user_id": subject.hex()}
        for name in shape.empty & row.keys():
            stored[name] = ""
        if shape.frame is None or shape.frame not in row:
            return stored
        for name in shape.hidden - {shape.frame}:
            stored[name] = None if table.c[name].nullable else ""
        for name in shape.digests:
            stored[name] = self.digest(subject, table, name, row[name])
        content = _encoder.encode({name: row[name] for name in shape.hidden})
        place = _place(table, [stored[name] for name in shape.keys])
        stored[shape.frame] = SEALED_MAGIC + seal_field(self.keyring, place, user, content)
        return stored

    def content(self, table: Table, frame: bytes, subject: bytes, keys: Iterable[object]) -> dict[str, Any]:
        """What the frame of a row says. keys: as stored. Raises UnreadableState for another row's; Erased, Unknown."""
        return _decoder.decode(open_field(self.keyring, _place(table, keys), subject, frame[len(SEALED_MAGIC) :]))


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(dict[str, Any])


def _place(table: Table, keys: Iterable[object]) -> str:
    """A row, by its primary key but the person: a frame opens in its own row alone."""
    return "\0".join((table.name, *map(str, keys)))


class Shape(NamedTuple):
    """The columns of a table by their marks. keys: of the primary key, but the person."""

    frame: str | None
    hidden: frozenset[str]
    digests: frozenset[str]
    empty: frozenset[str]
    keys: tuple[str, ...]


@cache
def shape_of(table: Table) -> Shape:
    """The marks of a table."""

    def marked(*marks: Hidden) -> frozenset[str]:
        return frozenset(column.name for column in table.columns if column.info.get("hidden") in marks)

    return Shape(
        frame=next(iter(marked(Hidden.FRAME)), None),
        hidden=marked(Hidden.FRAME, Hidden.INSIDE, Hidden.DIGEST),
        digests=marked(Hidden.DIGEST),
        empty=marked(Hidden.EMPTY),
        keys=tuple(column.name for column in table.primary_key if column.name != "user_id"),
    )


def sealing_of(connection: Connection) -> RowSealing | None:
    """How rows of this connection's database are sealed; None: not at all."""
    found: RowSealing | None = connection.get_execution_options().get(OPTION)
    return found


def keys_of(connection: Connection, users: Collection[str]) -> dict[str, str]:
    """Every `user_id` under which rows of these people may be stored, with the pseudonym. Raises Transient."""
    found = {user: user for user in users}
    sealing = sealing_of(connection)
    if sealing is not None and users and sealing.met(connection):
        found |= {subject.hex(): user for user, subject in sealing.subjects(users).items()}
    return found


def may_be_sealed(connection: Connection) -> bool:
    """Whether rows may be sealed, so that a search finds whole pseudonyms only."""
    sealing = sealing_of(connection)
    return sealing is not None and sealing.met(connection)


def enrolled(connection: Connection, users: Sequence[str]) -> list[str]:
    """Those of these people whose rows may be written; where rows are sealed, who has no key gets one.

    Of people who were erased nothing is written until they send a memo.
    """
    sealing = sealing_of(connection)
    return list(users) if sealing is None or not sealing.on else list(sealing.subjects(users, enrol=True))


def people_of(connection: Connection, keys: Collection[str]) -> dict[str, str]:
    """The pseudonym of each stored `user_id`, without those of erased people. Raises Transient.

    A pseudonym may look like a subject; the directory knows every subject.
    """
    sealing = sealing_of(connection)
    alike = {key: bytes.fromhex(key) for key in keys if SUBJECT.fullmatch(key)}
    if sealing is None or not alike or not sealing.met(connection):
        return {key: key for key in keys}
    known = sealing.keyring.source.people(list(alike.values()))
    sealing.warm(known)
    found = {}
    for key in keys:
        with suppress(Erased):
            found[key] = sealing.keyring.user(alike[key]) if alike.get(key) in known else key
    return found


def digests_of(connection: Connection, users: Collection[str], column: Column[str], value: str) -> dict[str, str]:
    """What a column of ids holds for this value in these people's sealed rows, by stored name. Raises Transient."""
    sealing = sealing_of(connection)
    if sealing is None or not sealing.met(connection):
        return {}
    table = column.table
    assert isinstance(table, Table)
    subjects = sealing.subjects(users).values()
    return {subject.hex(): sealing.digest(subject, table, column.name, value) for subject in subjects}


def stored_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows by pseudonym as they are written. Raises Transient, as for people whose rows must not be written."""
    sealing = sealing_of(connection)
    if sealing is None or not sealing.on:
        return [dict(row) for row in rows]
    try:
        return [sealing.sealed(table, row) for row in rows]
    except Erased:
        raise Transient("a person was erased meanwhile: what is left is stored again") from None
