"""Find the offset to commit when records are finished out of order."""

from collections import deque
from collections.abc import Iterable


class OffsetTracker:
    """The in-flight records of one partition, in fetch order.

    Offsets may have gaps (compaction, transaction markers), so order decides, not arithmetic: a position may be
    committed when every record fetched before it is finished.
    """

    __slots__ = ("_committed", "_open", "_pending", "_position")

    def __init__(self) -> None:
        self._pending: deque[int] = deque()
        self._open: set[int] = set()
        self._position: int | None = None
        self._committed: int | None = None

    def __len__(self) -> int:
        """Records from the position on, finished or not."""
        return len(self._pending)

    @property
    def position(self) -> int | None:
        """The offset of the first record that is not finished, or the next to read; None before the first fetch."""
        return self._pending[0] if self._pending else self._position

    @property
    def last(self) -> int | None:
        """The offset of the last record in flight; None without one."""
        return self._pending[-1] if self._pending else None

    def started(self, offsets: Iterable[int]) -> None:
        """Register fetched records. Raises ValueError when an offset is not after those already fetched."""
        for offset in offsets:
            last = self._pending[-1] if self._pending else (self._position or 0) - 1
            if offset <= last:
                raise ValueError(f"offset {offset} was fetched after {last}: the partition was rewound")
            self._pending.append(offset)
            self._open.add(offset)

    def finished(self, offset: int) -> None:
        """Register that all results of `offset` were delivered. Raises ValueError when it is not in flight."""
        if offset not in self._open:
            raise ValueError(f"offset {offset} is not in flight")
        self._open.remove(offset)
        while self._pending and self._pending[0] not in self._open:
            self._position = self._pending.popleft() + 1

    def passed(self, position: int) -> None:
        """Register that no record is left before `position`; no effect while records are in flight.

        The consumer's position is past the markers of transactions and the records of aborted ones.
        """
        if not self._pending:
            self._position = max(position, self._position or 0)

    def committable(self) -> int | None:
        """Position to commit (the next offset to read), or None without a new one.

        >>> partition = OffsetTracker()
        >>> partition.started([7, 8, 12])
        >>> partition.finished(8)
        >>> partition.committable()
        >>> partition.finished(7)
        >>> partition.committable()
        9
        """
        return self._position if self._position != self._committed else None

    def committed(self, position: int) -> None:
        """Register that the broker accepted `position`."""
        self._committed = position
