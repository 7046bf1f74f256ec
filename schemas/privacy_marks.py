"""The two marks of every place where data comes to rest: by what it is sealed, and how an erasure reaches it.

Topics (`schemas/topics.py`), keys in Redis (`schemas/state_keys.py`), tables of SQL (`streams/history/tables.py`) and
files (`schemas/stored_files.py`) carry both. An erasure loops over these tables; `docs/privacy.md` lists them.
"""

from enum import StrEnum
from typing import NamedTuple


class Sealed(StrEnum):
    """What keeps the data from somebody who can read the disk, while `UNDERTONE_SEAL` is on."""

    NOTHING = "holds nothing of a person"
    MONTH = "AES-256-GCM, the person's key of the month"
    LASTING = "AES-256-GCM, the person's lasting key"
    ROW = "AES-256-GCM, the person's lasting key; ranks, times and cohorts stay in clear"
    SUBJECT = "subjects in place of pseudonyms"
    HASH = "keyed hashes in place of pseudonyms"
    STORE_KEY = "keys, wrapped by the store key"
    MODE = "not sealed: for the process's user alone"
    ELSEWHERE = "by whoever keeps it"


class Erased(StrEnum):
    """How an erasure reaches the data. Each member but NOTHING is the work of one step, or said on the certificate."""

    NOTHING = "nothing to erase"
    KEYS = "keys destroyed: what is left cannot be opened"
    DELETED = "deleted"
    ENTRIES = "the person's entries are removed; the rest stays"
    REWRITTEN = "rewritten, so that nothing deleted is left in it"
    UNLINKED = "stays: the subject leads to no one once its keys are destroyed"
    HASHED = "stays: a keyed hash, for whoever proves what was done"
    BRIEF = "gone by itself, within minutes"
    OUTSIDE = "outside of Undertone: listed on the certificate"


class Marks(NamedTuple):
    """Both marks of one place."""

    sealed: Sealed
    erased: Erased

    @property
    def personal(self) -> bool:
        """Whether it holds anything of a person, or that leads to one."""
        return self.sealed is not Sealed.NOTHING


NOT_PERSONAL = Marks(Sealed.NOTHING, Erased.NOTHING)
