"""All poisons, in one order."""

from collections.abc import Sequence

from tests.faults.parade.downstream import downstream
from tests.faults.parade.poison import Kitchen, Poison
from tests.faults.parade.recordings import recordings
from tests.faults.parade.state import state
from tests.faults.parade.uploads import uploads


def poisons(kitchen: Kitchen) -> Sequence[Poison]:
    """Every row, with its files written."""
    return [poison for room in (uploads, recordings, downstream, state) for poison in room(kitchen)]
