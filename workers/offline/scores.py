"""Score recordings at hand: each as a stranger's first memo, or as the memos of one person in turn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.errors import ConfigurationError, Poison
from schemas.settings import Settings
from workers.offline.extraction import Extracted, Extraction, Make
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import PersonalNormal, updated
from workers.scoring.scorer import Scored, Scorer
from workers.stages import check_extractors, make_stage

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ScoredRecording(Generic[R]):
    """One recording: its features and its score, or why it has none.

    baseline_memos: memos of the same person that it was scored against.
    """

    extracted: Extracted[R]
    score: Scored | Poison
    baseline_memos: int = 0


def extraction_for(settings: Settings, bundle: Bundle, make: Make = make_stage) -> Extraction:
    """The stages that give the bundle its features. Raises ConfigurationError where they would give it others."""
    bundle.left_out(settings.modalities)
    extraction = Extraction(settings, settings.modalities, make)
    try:
        check_extractors(extraction.extractors, bundle.space.extractors, bundle.space.equivalents)
    except ConfigurationError:
        extraction.close()
        raise
    return extraction


def strangers(scorer: Scorer, extracted: Iterable[Extracted[R]]) -> Iterator[ScoredRecording[R]]:
    """Score each recording as the first memo of somebody unknown: against the population, not against a baseline."""
    stranger = PersonalNormal.empty(len(scorer.bundle.names))
    for each in extracted:
        yield ScoredRecording(each, _scored(each, scorer, stranger))


def one_person(scorer: Scorer, extracted: Iterable[Extracted[R]]) -> Iterator[ScoredRecording[R]]:
    """Score one person's recordings, oldest first: each against those before it.

    Those that cannot be trusted are scored and not learnt from, as in the stream. There an open episode also freezes
    the baseline; here are no episodes, so all others are learnt from.
    """
    normal = PersonalNormal.empty(len(scorer.bundle.names))
    for each in extracted:
        scored = _scored(each, scorer, normal)
        yield ScoredRecording(each, scored, normal.memos)
        if isinstance(scored, Scored) and scored.vector is not None:
            normal = updated(normal, scored.vector)


def _scored(each: Extracted[R], scorer: Scorer, normal: PersonalNormal) -> Scored | Poison:
    if isinstance(each.result, Poison):
        return each.result
    (scored,) = scorer.score([(each.result, normal)])
    return scored
