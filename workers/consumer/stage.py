"""The interface of a feature worker's stage: a batch of records in, one list of results per record out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from schemas.errors import Poison
from schemas.events import Extractor, Modality
from workers.consumer.defects import defect, unexpected

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
T = TypeVar("T")
R = TypeVar("R")

Outcome: TypeAlias = Sequence[R] | Poison
"""The outcome of one record: its results, or why it fails permanently."""


class Stage(Protocol[In, Out]):
    """A stage of the pipeline. Called from one thread at a time unless it `Overlaps`, never from the event loop."""

    name: str
    """Short and stable: label of metrics and the `stage` of dead letters."""

    def process(self, batch: Sequence[In]) -> Sequence[Outcome[Out]]:
        """One outcome per record, in order. A record's outcome does not depend on the rest of the batch.

        Raises Transient when the batch may succeed later, Stop when continuing would do harm. Poison that is raised
        instead of returned, and any other error, mean that some record of the batch fails, without saying which.
        """

    def close(self) -> None:
        """Release processes and memory; called once, also after a failure."""


@runtime_checkable
class Prepares(Protocol):
    """A stage that uses idle time. Called like `Stage.process`."""

    def prepare(self) -> bool:
        """Do some seconds of work that would delay a later batch; False when none is left."""


@runtime_checkable
class Names(Protocol):
    """A stage that says which modalities it gives, and by which extractors."""

    extractors: Mapping[Modality, Extractor]
    """The extractor in the records of each modality."""


@runtime_checkable
class Overlaps(Protocol):
    """A stage that processes several batches concurrently, so that the end of one leaves nothing idle."""

    at_once: int
    """Maximum concurrent calls of `process`, each from its own thread."""


def settle(
    stage: Stage[T, R], batch: Sequence[T], of_record: Callable[[Exception], bool] = unexpected
) -> list[Outcome[R]]:
    """Process a batch, with every failure assigned to its record: if the stage raises, parts of the batch are tried.

    A record that fails alone, twice, by an unknown error is Poison. Raises the errors that are not `of_record`, among
    them Transient and Stop.
    """
    if not batch:
        return []
    try:
        return _outcomes(stage, batch)
    except Poison as poison:
        if len(batch) == 1:
            return [poison]
        parts = [[record] for record in batch]
    except Exception as error:
        if not of_record(error):
            raise
        if len(batch) == 1:
            return [_alone(stage, batch[0], of_record)]
        parts = [list(batch[: len(batch) // 2]), list(batch[len(batch) // 2 :])]
    return [outcome for part in parts for outcome in settle(stage, part, of_record)]


def _alone(stage: Stage[T, R], record: T, of_record: Callable[[Exception], bool]) -> Outcome[R]:
    try:
        return _outcomes(stage, [record])[0]
    except Poison as poison:
        return poison
    except Exception as error:
        if not of_record(error):
            raise
        return defect(error, stage.name)


def _outcomes(stage: Stage[T, R], batch: Sequence[T]) -> list[Outcome[R]]:
    outcomes = list(stage.process(batch))
    if len(outcomes) != len(batch):
        raise ValueError(f"stage {stage.name} returned {len(outcomes)} outcomes for {len(batch)} records")
    return outcomes
