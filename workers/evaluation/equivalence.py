"""Whether features in another precision give a bundle's scores: what a clinician would see of the difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from schemas.bundle_equivalents import Equivalent
from schemas.bundle_manifest import encoder_of
from schemas.errors import ConfigurationError, Poison
from schemas.events import Extractor, MemoFeatures, Modality
from schemas.settings import Settings
from workers.offline.extraction import Extracted, Extraction
from workers.offline.scores import ScoredRecording, one_person, strangers
from workers.scoring.bundle import Bundle
from workers.scoring.feature_space import Parts
from workers.scoring.scorer import Scorer
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.engines import processor
from workers.wav2vec2.engines.choice import chosen
from workers.wav2vec2.engines.engine import Precision
from workers.wav2vec2.stage import extractor_of

FEWEST = 20
"""Recordings that say anything about rare differences."""
EDGE = 1e-6
"""Probabilities nearer to 0 or 1 count as this: isotonic calibration reaches both."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is harmless. most_change: of a logit; least_correlation: Spearman's, between both scores."""

    most_change: float = 0.05
    least_correlation: float = 0.999


def compare(
    bundle: Bundle,
    settings: Settings,
    precision: Precision,
    paths: Sequence[Path],
    bounds: Bounds,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Equivalent, dict[Path, str]]:
    """What changes in the scores of recordings when their embeddings are computed in another precision.

    settings: with the bundle; progress: called with the number of recordings done, twice for each. Recordings of one
    folder are one person's, in their order. They are scored as first memos of strangers, against the baseline of their
    person in one precision, and across the switch: the later half against a baseline from before it. What changes most
    counts. Also returns why recordings were left out. Raises ConfigurationError for a bundle without embeddings, an
    encoder that is not its own, and fewer than FEWEST usable recordings.
    """
    own = precision_of(bundle, settings)
    if own == precision:
        raise ConfigurationError(f"the bundle was trained on embeddings in {own} itself: there is nothing to compare")
    exact = settings.model_copy(update={"precision": own})
    other = settings.model_copy(update={"precision": precision})
    with Extraction(exact, bundle.modalities) as extraction:
        first = [_told(each, at, progress) for at, each in enumerate(extraction.extract(paths), 1)]
    usable = [each for each in first if not isinstance(each.result, Poison)]
    with Extraction(other, (Modality.EMBEDDING,)) as extraction:
        extractor = extraction.extractors[Modality.EMBEDDING]
        second = [
            _told(each, len(paths) + at, progress)
            for at, each in enumerate(extraction.extract([each.recording for each in usable]), 1)
        ]
    changed = [_replaced(one, each, bundle) for one, each in zip(usable, second, strict=True)]
    pairs = _pairs(Scorer(bundle), usable, changed)
    scored = np.isfinite(pairs[0][0])
    if scored.sum() < FEWEST:
        raise ConfigurationError(
            f"{scored.sum()} of {len(paths)} recordings have a score, and {FEWEST} are needed to compare: give more"
        )
    made = Equivalent(
        modality=Modality.EMBEDDING,
        extractor=extractor,
        engine=chosen(other).engine,
        processor=processor.model(),
        recordings=int(scored.sum()),
        largest_change=max(_largest_change(*pair) for pair in pairs),
        rank_correlation=min(_rank_correlation(*pair) for pair in pairs),
        most_change=bounds.most_change,
        least_correlation=bounds.least_correlation,
    )
    return made, {each.recording: str(each.result) for each in first if isinstance(each.result, Poison)}


def precision_of(bundle: Bundle, settings: Settings) -> Precision:
    """The precision of the embeddings that a bundle was trained on.

    Raises ConfigurationError for a bundle that uses none, and where the encoder is another one than the bundle's.
    """
    wanted = bundle.space.extractors.get(Modality.EMBEDDING)
    if wanted is None:
        raise ConfigurationError("the bundle uses no embeddings, so their precision changes nothing")
    source = checkpoint.load(encoder_of(settings.bundle, settings.encoder))
    for precision in get_args(Precision):
        if extractor_of(source, precision) == wanted:
            return precision  # type: ignore[no-any-return]
    given: Extractor = extractor_of(source)
    raise ConfigurationError(
        f"the encoder is {given.label}, and the bundle was trained on {wanted.label}: unset UNDERTONE_ENCODER"
    )


def _told(each: Extracted[Path], at: int, progress: Callable[[int], None]) -> Extracted[Path]:
    progress(at)
    return each


def _replaced(one: Extracted[Path], other: Extracted[Path], bundle: Bundle) -> Extracted[Path]:
    """A recording with its other embedding, which passes for the bundle's own."""
    if isinstance(one.result, Poison) or isinstance(other.result, Poison):
        return other
    embedding: MemoFeatures = replace(
        other.result[Modality.EMBEDDING], extractor=bundle.space.extractors[Modality.EMBEDDING]
    )
    parts: Parts = {**one.result, Modality.EMBEDDING: embedding}
    return Extracted(one.recording, parts)


def _pairs(
    scorer: Scorer, exact: Sequence[Extracted[Path]], changed: Sequence[Extracted[Path]]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Logits in the bundle's precision, and in the other one: of strangers, against baselines, across the switch."""
    people: dict[Path, list[int]] = {}
    for place, each in enumerate(exact):
        people.setdefault(each.recording.parent, []).append(place)
    in_turn: list[list[ScoredRecording[Path]]] = [[], [], []]
    for places in people.values():
        one, other = ([given[place] for place in places] for given in (exact, changed))
        half = len(places) // 2
        for found, given in zip(in_turn, (one, other, [*one[:half], *other[half:]]), strict=True):
            found += one_person(scorer, given)
    against, all_changed, switched = map(_logits, in_turn)
    return [
        (_logits([*strangers(scorer, exact)]), _logits([*strangers(scorer, changed)])),
        (against, all_changed),
        (against, switched),
    ]


def _logits(scored: Sequence[ScoredRecording[Path]]) -> NDArray[np.float64]:
    """(recordings,) logits of the calibrated probabilities, NaN without one."""
    found = [None if isinstance(each.score, Poison) else each.score.probability for each in scored]
    values = np.clip(np.array([np.nan if each is None else each for each in found], float), EDGE, 1 - EDGE)
    logits: NDArray[np.float64] = np.log(values / (1 - values))
    return logits


def _largest_change(exact: NDArray[np.float64], changed: NDArray[np.float64]) -> float:
    """NaN where one of them has a score and the other has none."""
    known = np.isfinite(exact) | np.isfinite(changed)
    return float(np.abs(exact[known] - changed[known]).max(initial=0.0))


def _rank_correlation(exact: NDArray[np.float64], changed: NDArray[np.float64]) -> float:
    known = np.isfinite(exact) & np.isfinite(changed)
    return float(spearmanr(exact[known], changed[known])[0])
