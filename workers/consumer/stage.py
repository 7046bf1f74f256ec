"""What a heavy hop is: a batch of records in, one list of results per record out."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from schemas.errors import Poison

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
T = TypeVar("T")
R = TypeVar("R")

Outcome: TypeAlias = Sequence[R] | Poison
"""What became of one record: its results, or why it can never have any."""


class Stage(Protocol[In, Out]):
    """A hop of the way. Called from one thread at a time unless it `Overlaps`, never from the event loop."""

    name: str
    """Short and stable: labels of metrics and the `stage` of dead letters."""

    def process(self, batch: Sequence[In]) -> Sequence[Outcome[Out]]:
        """One outcome per record, in order. A record's outcome does not depend on its neighbours.

        Raises Transient when the batch may succeed later; anything else but Poison is a defect and ends the process.
        Poison raised instead of returned says that some record of the batch is at fault, not which.
        """

    def close(self) -> None:
        """Give back processes and memory; called once, also after a failure."""


@runtime_checkable
class Prepares(Protocol):
    """A stage that can use the time in which no record waits. Called as `Stage.process` is."""

    def prepare(self) -> bool:
        """Do some seconds of what would keep a later batch waiting; False when nothing of that is left."""


@runtime_checkable
class Overlaps(Protocol):
    """A stage that may be given a batch while it is at another, so that the end of one leaves nothing idle."""

    at_once: int
    """Batches that `process` takes at the same time, each from a thread of its own."""


def settle(stage: Stage[T, R], batch: Sequence[T]) -> list[Outcome[R]]:
    """Process a batch so that poison stays with its record: where the stage cannot say whose it is, each goes alone.

    Raises what `Stage.process` raises, but never Poison; ValueError when the stage breaks its promise of one outcome
    per record.
    """
    if not batch:
        return []
    try:
        outcomes = list(stage.process(batch))
    except Poison as poison:
        if len(batch) == 1:
            return [poison]
        return [outcome for record in batch for outcome in settle(stage, [record])]
    if len(outcomes) != len(batch):
        raise ValueError(f"stage {stage.name} gave {len(outcomes)} outcomes for {len(batch)} records")
    return outcomes
