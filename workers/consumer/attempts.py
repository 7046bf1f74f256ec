"""Finds the record that kills its process: by a signal, for lack of memory, or past a deadline.

Such a death leaves no exception. So a consumer marks the records that it works on, in the metadata of the committed
offset, which every member of its group can read, and removes the mark when they are finished or handed over. Whoever
finds a mark takes over from a process that died, and marks those records as waiting until it works on them:

    deaths   how the marked records are processed
    1        in groups of GROUP, each marked before it starts
    2        one at a time, each marked before it starts
    3        the one that is marked becomes a dead letter `defect:ProcessDied`

A process that ends on purpose and cannot reach the broker notes that on its machine (`workers.service.purpose`). The
mark of a busy partition is as old as its last commit, so the first death may go unnoticed. A process that is killed
for another reason costs a few small batches.
"""

import re
import time
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar, cast

from schemas.errors import Poison
from workers.service.purpose import ME, ended_on_purpose

GROUP = 8
"""Records in a batch after one death: few enough to find the one, enough to keep a worker's processes busy."""
DEADLY = 3
"""Deaths after which a record is not processed again."""
EXACT_S = 600.0
"""Seconds after a death in which its records are suspects, and every batch is marked before it starts."""

PROCESS_DIED = Poison("defect:ProcessDied", f"{DEADLY} processes died while they processed this record")

P = TypeVar("P", bound=Hashable)

_MARK = re.compile(r"undertone/1 deaths=(\d{1,6}) to=(\d{1,19})(?: by=([0-9a-f]{8}))?( waiting)?")


@dataclass(frozen=True, slots=True)
class Suspects:
    """Records of a partition that a process worked on when it died. position, to: their first and last offset."""

    position: int
    to: int
    deaths: int


class Attempts:
    """The marks of one consumer, by partition. The caller reads and commits the metadata.

    clock: monotonic, seconds; ended_on_purpose: whether the process of this name was not killed by a record.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        ended_on_purpose: Callable[[str], bool] = ended_on_purpose,
    ) -> None:
        self._clock, self._ended_on_purpose = clock, ended_on_purpose
        self._suspects: dict[Hashable, Suspects | None] = {}
        self._marked: set[Hashable] = set()
        self._exact_until = -1.0

    def knows(self, partition: Hashable) -> bool:
        """Whether the metadata of a partition has been read since it was assigned."""
        return partition in self._suspects

    def recall(self, partition: Hashable, position: int, metadata: str) -> bool:
        """Take over a partition: its committed offset and metadata. Returns whether its mark is to be written again.

        Metadata of other programs is no mark.
        """
        found = _MARK.fullmatch(metadata)
        if found is None or int(found[2]) < position:
            self._suspects[partition] = None
            return False
        died = not found[4] and not self._ended_on_purpose(found[3] or "")
        deaths = int(found[1]) + died
        if not deaths:
            self._suspects[partition] = None
            return True
        self._suspects[partition] = Suspects(position, int(found[2]), deaths)
        self._exact_until = self._clock() + EXACT_S
        return True

    def forget(self, partitions: Collection[Hashable]) -> None:
        """Partitions that this process no longer has."""
        for partition in partitions:
            self._suspects.pop(partition, None)
            self._marked.discard(partition)

    def at_once(self, positions: Iterable[tuple[Hashable, int]]) -> int | None:
        """How many records may be processed at once; None without a limit.

        positions: every partition with its next offset.
        """
        deaths = max((self._deaths(partition, position) for partition, position in positions), default=0)
        return {0: None, 1: GROUP}.get(deaths, 1)

    def condemns(self, partition: Hashable, offset: int) -> bool:
        """Whether this record was alone in its process at its last death, and has had its last attempt."""
        suspects = self._suspects.get(partition)
        return suspects is not None and suspects.deaths >= DEADLY and offset == suspects.position == suspects.to

    def due(self, partitions: Collection[P]) -> set[P]:
        """The partitions whose mark must be written before records of these are processed.

        For some time after a death all that have one, too: a record that is finished by now would still be marked, and
        suspected together with the record that ends this process.
        """
        if self._clock() < self._exact_until:
            return {*partitions, *cast("set[P]", self._marked)}
        return {partition for partition in partitions if partition not in self._marked}

    def metadata(self, partition: Hashable, position: int, to: int | None) -> str:
        """The metadata to commit with `position`. to: last offset that is being processed, None for no record."""
        deaths, suspects = self._deaths(partition, position), self._suspects.get(partition)
        if to is not None:
            return f"undertone/1 deaths={deaths} to={to} by={ME}"
        return f"undertone/1 deaths={deaths} to={suspects.to} waiting" if deaths and suspects else ""

    def committed(self, partition: Hashable, metadata: str) -> None:
        """Register that the broker accepted this metadata."""
        works = metadata and not metadata.endswith(" waiting")
        (self._marked.add if works else self._marked.discard)(partition)

    def marked(self) -> set[Hashable]:
        """Partitions with records that are marked."""
        return set(self._marked)

    def _deaths(self, partition: Hashable, position: int) -> int:
        suspects = self._suspects.get(partition)
        suspected = suspects is not None and position <= suspects.to and self._clock() < self._exact_until
        return suspects.deaths if suspects is not None and suspected else 0
