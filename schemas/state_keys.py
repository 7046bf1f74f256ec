"""Everything that is kept in Redis: one table of keys, and the only place that makes them.

`docs/state.md` is generated from it. A value begins with one byte, the version of its encoding: `StateKey.framed`
writes it and `StateKey.opened` reads it, but for baselines and drift states, whose modules do so themselves.
Encodings of 0.1 without a version begin with other bytes: a list of MessagePack (0x90 and above), `[` or a digit.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.errors import UnreadableState
from schemas.privacy_marks import NOT_PERSONAL, Erased, Marks, Sealed

PREFIX = "undertone:"
"""Before every key, so that systems can share a server."""

LISTS = 0x90
"""Lowest first byte of an encoding of 0.1 that is a MessagePack list with the version as first item."""


NEWER = 4
"""How far above the newest known version a first byte is one of a newer Undertone: versions are counted one by one.
Farther bytes are damage: text, lists of MessagePack, random bytes."""


class Kind(StrEnum):
    """What a key is to Redis."""

    VALUE = "value"
    """A string, changed by compare-and-set: 8 bytes of BLAKE2b over the content, then the content."""
    SORTED_SET = "sorted set"
    """Members by due time, in Unix seconds."""
    BITMAP = "bitmap"
    """Bits that are only ever set."""
    ANY = "any"
    """As it was found."""


_ESCAPES = re.compile("}|%(?=7D|25)")


def _escaped(name: str) -> str:
    """A name without `}`; different names stay different, and names without `}` and `%` stay as they are.

    Only a `%` that would read as an escape is escaped: keys of 0.1 with any other are found.
    """
    return _ESCAPES.sub(lambda found: "%7D" if found[0] == "}" else "%25", name) if "}" in name or "%" in name else name


@dataclass(frozen=True, slots=True)
class StateKey:
    """One row: keys of one pattern.

    pattern: after PREFIX, names in angle brackets; braces keep all keys of a user in one slot of a Redis cluster;
    owner: the agent or command that writes it; readers: what else reads it, and why; lifetime: since the last
    write, a setting or a length of time; marks: by what it is sealed and how it is erased; versions: encodings that are
    read, the newest last, which is written; watched: whether the store counts a lost key (`Store.lost`); escaped:
    whether names may hold `}`, which ends what a cluster hashes, and still make different keys.
    """

    name: str
    pattern: str
    owner: str
    lifetime: str
    marks: Marks
    encoding: str
    meaning: str
    readers: str = ""
    versions: tuple[int, ...] = ()
    kind: Kind = Kind.VALUE
    watched: bool = False
    escaped: bool = True
    _literals: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Cut the pattern once; keys are made for every record."""
        object.__setattr__(self, "_literals", tuple(re.split(r"<\w+>", self.pattern)))

    @property
    def personal(self) -> bool:
        """Whether it holds data of a person."""
        return self.marks.personal

    @property
    def version(self) -> int:
        """The version that is written."""
        return self.versions[-1]

    @property
    def prefix(self) -> str:
        """The prefix of all keys of this row."""
        return self._literals[0]

    def key(self, *names: str) -> str:
        """The key of these names, without PREFIX. Raises ValueError when they are not as many as the pattern's."""
        head, *rest = self._literals
        if self.escaped:
            names = tuple(map(_escaped, names))
        return head + "".join(name + literal for name, literal in zip(names, rest, strict=True))

    def framed(self, body: bytes) -> bytes:
        """A value of the version that is written."""
        return bytes((self.version,)) + body

    def opened(self, data: bytes) -> tuple[int, bytes]:
        """Version and body of a value. Raises UnreadableState for a version that this program does not read."""
        if not data or data[0] not in self.versions:
            raise self.of_version(data[:1].hex() or "none", newer=self.is_newer(data))
        return data[0], data[1:]

    def of_version(self, version: object, *, newer: bool) -> UnreadableState:
        """The error for a version that this program does not read."""
        known = ", ".join(map(str, self.versions))
        return UnreadableState(f"{self.name} of version {version}, this program reads {known}", newer=newer)

    def is_newer(self, data: bytes) -> bool:
        """Whether a value begins with a version that a newer Undertone may write."""
        return bool(data) and self.version < data[0] <= self.version + NEWER

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """The block decodes a value; whatever it raises becomes UnreadableState, without content.

        Bytes that no process wrote may make a decoder raise anything: RecursionError, OverflowError, KeyError.
        """
        try:
            yield
        except UnreadableState:
            raise
        except Exception as error:
            raise UnreadableState(f"not a {self.name}: {type(error).__name__}") from None


_OWN = Marks(Sealed.LASTING, Erased.DELETED)
"""Of keys that are one person's."""
_ENTRIES = Marks(Sealed.SUBJECT, Erased.ENTRIES)
"""Of lists and sets with entries of several people."""

DRIFT = StateKey(
    "drift state",
    "drift:{<user_id>}",
    owner="drift agent",
    readers="fusion agent: whether an episode is open (`open_episode`), which freezes the baseline; "
    "`undertone drift plot` and `user`",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=_OWN,
    versions=(1, 2, 3),
    encoding="packed floats (chart, open days, scores and evidence of the last 12 memos), episodes, the last 96 pauses "
    "between memos, undelivered alerts as Avro; at most 8 KiB",
    meaning="A user's chart, episodes, last memos, habit of speaking, and alerts that are not known to be delivered.",
    watched=True,
)
BASELINE = StateKey(
    "baseline",
    "baseline:{<user_id>}",
    owner="fusion agent",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=_OWN,
    versions=(1, 2),
    encoding="MessagePack; version 1, of 2 KiB or more, is compressed with zlib, 2 is not; both are written",
    meaning="A user's own normal of every feature, the last memos seen, and scores not known to be delivered.",
)
BASELINE_0_1 = StateKey(
    "baseline of 0.1",
    "undertone:baseline:{<user_id>}",
    owner="fusion agent of 0.1",
    readers="fusion agent, for a user without a `baseline`; never written",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=_OWN,
    versions=BASELINE.versions,
    encoding="as `baseline`",
    meaning="Version 0.1 wrote baselines under a doubled prefix; they expire.",
    escaped=False,
)
JOIN = StateKey(
    "join",
    "join:{<user_id>}:<memo_id>",
    owner="fusion agent, dead-letter agent",
    lifetime="UNDERTONE_JOIN_TTL_S",
    marks=_OWN,
    versions=(1, 2, 3, 4),
    encoding="MessagePack; features as Avro until the score of all is delivered; version 4 once given up, else 3",
    meaning="Modalities of a memo that have arrived, and its outcome.",
)
OPEN_JOINS = StateKey(
    "open joins",
    "joins:open",
    owner="fusion agent, dead-letter agent",
    lifetime="none; a member goes when its join is decided",
    marks=_ENTRIES,
    kind=Kind.SORTED_SET,
    encoding="members are keys of joins",
    meaning="When each open join times out.",
)
SILENCES = StateKey(
    "silences due",
    "silence:due",
    owner="drift agent, dead-letter agent",
    lifetime="none; a member goes when its user has no habit yet, or 90 days after a silence was due",
    marks=_ENTRIES,
    kind=Kind.SORTED_SET,
    encoding="members are user ids",
    meaning="When each user's silence is looked at next.",
)
OUTAGES = StateKey(
    "outages",
    "silence:outages",
    owner="drift agent",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=NOT_PERSONAL,
    versions=(1,),
    encoding="64-bit floats, little-endian",
    meaning="When most users, of each habit, were last found silent together: no silence is counted from before.",
)
POOL = StateKey(
    "pooled autocorrelation",
    "drift-pool",
    owner="drift agent",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=NOT_PERSONAL,
    versions=(1,),
    encoding="two 64-bit integers, little-endian",
    meaning="Sums over neighbouring days of all users, from which their autocorrelation follows.",
)
PRIOR = StateKey(
    "prior autocorrelation",
    "drift-prior",
    owner="drift agent",
    lifetime="30 days",
    marks=NOT_PERSONAL,
    versions=(1,),
    encoding="one 64-bit float, little-endian",
    meaning="The autocorrelation assumed of new users.",
)
MUTES = StateKey(
    "mutes",
    "mutes",
    owner="`undertone alerts mute`, `unmute` and `mutes`; drift agent: how many alerts each has suppressed",
    lifetime="10 years; a mute leaves the list 90 days after its end",
    marks=_ENTRIES,
    versions=(1,),
    encoding="JSON list, whose readers ignore fields that they do not know; without a version byte in 0.1",
    meaning="Users and cohorts whose alerts are suppressed, since when, until when, why, and who did it.",
)
EXCLUSIONS = StateKey(
    "exclusions",
    "excluded:{<user_id>}",
    owner="dashboard",
    readers="fusion agent and drift agent: whether a memo is left out of its user's normal",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=_OWN,
    versions=(1,),
    encoding="MessagePack",
    meaning="Times that somebody marked, within which memos are left out of the user's normal. Users without such "
    "marks have no value.",
)
REDRIVEN = StateKey(
    "redrive mark",
    "redriven:<dead_letter_id>",
    owner="`undertone dead-letters redrive`",
    lifetime="30 days, the retention of `memos.dead`",
    marks=NOT_PERSONAL,
    versions=(1,),
    encoding="decimal digits; without a version byte in 0.1",
    meaning="How often the record of a dead letter was redriven.",
)
MARK = StateKey(
    "resubmission mark",
    "reconciliation",
    owner="agents",
    lifetime="UNDERTONE_STATE_TTL_S",
    marks=NOT_PERSONAL,
    versions=(1, 2),
    encoding="MessagePack",
    meaning="That Redis has its data. Without it agents resubmit uploads that have no outcome.",
)
WITNESS = StateKey(
    "witness of the key directory",
    "key-directory",
    owner="agents, dashboard",
    lifetime="none",
    marks=NOT_PERSONAL,
    versions=(1,),
    encoding="MessagePack",
    meaning="How many people the key directory had, and its newest month: one that has less makes no keys.",
)
ROSTER = StateKey(
    "roster",
    "roster",
    owner="every writer of a watched key",
    lifetime="none",
    marks=Marks(Sealed.SUBJECT, Erased.UNLINKED),
    kind=Kind.BITMAP,
    encoding="Bloom filter, 2 MiB, three probes: a membership test for user ids",
    meaning="Which watched keys were ever written, so that a lost one is noticed.",
)
QUARANTINE = StateKey(
    "quarantine",
    "quarantine:<key>",
    owner="whichever process finds that it cannot read the key",
    readers="operators",
    lifetime="30 days",
    marks=_OWN,
    kind=Kind.ANY,
    encoding="the value as it was found, of any type",
    meaning="State that could not be read, under its former key; the first of each key is kept.",
    escaped=False,
)

STATE_KEYS: tuple[StateKey, ...] = tuple(row for row in tuple(globals().values()) if isinstance(row, StateKey))
"""All of them, in the order above."""

WATCHED = tuple(row.prefix for row in STATE_KEYS if row.watched)
"""Prefixes of the keys whose loss is counted: drift states are meant to stay; joins and the like expire."""


def row_of(key: str) -> StateKey | None:
    """The row of a key without PREFIX; None for a key that is in no row."""
    return next((row for row in STATE_KEYS if key.startswith(row.prefix)), None)
