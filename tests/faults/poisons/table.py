"""All poisons, in one order."""

from collections.abc import Sequence

from tests.faults.poisons.downstream import downstream
from tests.faults.poisons.poison import Kitchen, Poison
from tests.faults.poisons.recordings import recordings
from tests.faults.poisons.registered import registered
from tests.faults.poisons.sealed import sealed
from tests.faults.poisons.state import state
from tests.faults.poisons.uploads import uploads


def poisons(kitchen: Kitchen) -> Sequence[Poison]:
    """Every row, with its files written."""
    return [poison for room in (uploads, registered, recordings, downstream, sealed, state) for poison in room(kitchen)]
