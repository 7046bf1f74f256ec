"""Evaluate a bundle on unseen memos, with confidence intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError, Poison
from schemas.events import Band, MemoFeatures
from workers.corpora.corpus import Corpus, groups_of, sides_of
from workers.corpora.examples import Examples, default_memos, normals
from workers.corpora.features import LabelledFeatures
from workers.corpora.leakage import refuse_seen
from workers.evaluation import metrics
from workers.evaluation.cold_start import cold_start
from workers.evaluation.flags import flags_of
from workers.scoring.bundle import Bundle
from workers.scoring.calibration import Bands
from workers.scoring.personal_baseline import PersonalNormal, deviations
from workers.scoring.scorer import Logits, Scored, Scorer, logits

DURATIONS_S = (5.0, 15.0, 30.0)
SNRS_DB = (10.0, 20.0, 30.0)
AGES = (30.0, 50.0, 65.0)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores of memos, and their metrics as plain JSON.

    labels, logits: of the memos with a probability; bands: of the bundle.
    """

    figures: dict[str, Any]
    labels: NDArray[np.bool_]
    logits: Logits
    bands: Bands
    cold_start: Mapping[str, float] = field(default_factory=dict)


def evaluate(
    bundle: Bundle,
    examples: Examples,
    groups: Sequence[Mapping[str, str]],
    *,
    judged: NDArray[np.bool_] | None = None,
    seed: int = 0,
    rounds: int = 1000,
) -> Evaluation:
    """Score every memo after the other memos of its speaker (the earlier ones, where times are known), and evaluate.

    If no speaker has memos of both labels, a personal baseline would remove exactly the effect to detect: then memos
    are scored without baselines. The AUC includes abstentions: a memo too noisy or undecided still has its probability,
    and one without (`without_probability`) ranks at the threshold, which carries no information; the other metrics are
    over memos with a probability. groups: subgroup by name, of each memo. judged: (memos,), True for those to evaluate;
    the others only enter baselines. rounds: of the bootstrap. Raises ConfigurationError when no memo can be scored.
    """
    memos = default_memos(examples)
    rng = np.random.default_rng([seed, 5])
    scored, found = score_after(bundle, examples, memos, rng)
    wanted = np.ones(len(examples), bool) if judged is None else judged
    had = wanted & np.array([s.probability is not None for s in scored])
    if not had.any():
        raise ConfigurationError("no memo of the manifest could be scored")
    truth, labels, usable = examples.labels[wanted] > 0.5, examples.labels[had] > 0.5, found.chosen(had)
    subgroups = [grouped(group, parts) for group, parts in zip(groups, examples.parts, strict=True)]
    cold = cold_start(bundle, examples, wanted, rng, rounds=rounds)
    threshold = bundle.bands.threshold
    ranks = np.where(had, found.calibrated, np.log(threshold / (1 - threshold)))[wanted]
    values = {
        **overall(labels, usable, threshold),
        "auc": metrics.auc(truth, ranks),
        "auc_ci": [*metrics.auc_interval(truth, ranks, examples.speakers[wanted], rng, rounds)],
        **decided(truth, [s for s, judge in zip(scored, wanted, strict=True) if judge]),
        "n": int(wanted.sum()),
        "without_probability": int((wanted & ~had).sum()),
        "speakers": len(np.unique(examples.speakers[wanted])),
        "positives": int(truth.sum()),
        "baseline_memos": "none" if memos == 0 else "all others of the speaker",
        "cold_start": cold.auc,
        "cold_start_speakers": cold.speakers,
        "cold_start_gain": {memos: [*interval] for memos, interval in cold.gain.items()},
        "groups": by_group(labels, usable, threshold, [g for g, h in zip(subgroups, had, strict=True) if h]),
        "bundle": bundle.id,
        "head": bundle.head.kind,
        "calibration": bundle.calibration.kind,
    }
    return Evaluation(values | {"flags": flags_of(values)}, labels, usable, bundle.bands, cold.auc)


def score_after(
    bundle: Bundle, examples: Examples, memos: int, rng: np.random.Generator
) -> tuple[list[Scored], Logits]:
    """Score every memo after `memos` others of its speaker; returns the scores and their logits.

    Raises Poison for features that the bundle does not score.
    """
    vectors = examples.vectors(bundle.space)
    stack, _ = normals(vectors, examples, memos, rng)
    own = [PersonalNormal(c, m, v) for c, m, v in zip(stack.count, stack.mean, stack.variance, strict=True)]
    scored = []
    for result in Scorer(bundle).score(list(zip(examples.parts, own, strict=True))):
        if isinstance(result, Poison):
            raise result
        scored.append(result)
    sds = deviations(stack, bundle.population, vectors)
    return scored, logits(bundle, sds, examples.parts, stack.known)


def overall(labels: NDArray[np.bool_], scores: Logits, threshold: float) -> dict[str, Any]:
    """Metrics over all memos, without abstention."""
    probabilities = scores.probability.astype(np.float64)
    positive = probabilities >= threshold
    before = 1 / (1 + np.exp(-scores.raw.astype(np.float64)))
    return {
        "auc": metrics.auc(labels, scores.calibrated),
        "uar": metrics.uar(labels, positive),
        "f1": metrics.f1(labels, positive),
        "sensitivity": metrics.sensitivity(labels, positive),
        "specificity": metrics.specificity(labels, positive),
        "brier": metrics.brier(labels, probabilities),
        "brier_uncalibrated": metrics.brier(labels, before),
        "ece": metrics.ece(labels, probabilities),
        "ece_uncalibrated": metrics.ece(labels, before),
        "threshold": threshold,
    }


def decided(labels: NDArray[np.bool_], scored: Sequence[Scored]) -> dict[str, Any]:
    """Metrics over the decided memos, and the shares of abstentions.

    `undecided_share`: for a probability within the band; `abstained_share`: for that or any other reason.
    """
    certain = np.array([s.band is not Band.INDETERMINATE for s in scored])
    undecided = np.array(["undecided" in s.reasons for s in scored])
    high = np.array([s.band is Band.HIGH for s in scored])
    return {
        "undecided_share": float(undecided.mean()),
        "abstained_share": float((~certain).mean()),
        "sensitivity_decided": metrics.sensitivity(labels[certain], high[certain]),
        "specificity_decided": metrics.specificity(labels[certain], high[certain]),
        "uar_decided": metrics.uar(labels[certain], high[certain]),
    }


def by_group(
    labels: NDArray[np.bool_],
    scores: Logits,
    threshold: float,
    groups: Sequence[Mapping[str, str]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Metrics of every subgroup: factor → level → {n, positives, auc, uar, ece}."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for factor in dict.fromkeys(name for group in groups for name in group):
        levels = np.array([group.get(factor, "unknown") for group in groups])
        table[factor] = {
            str(level): _row(labels[levels == level], scores.chosen(levels == level), threshold)
            for level in np.unique(levels)
        }
    return table


def _row(labels: NDArray[np.bool_], scores: Logits, threshold: float) -> dict[str, Any]:
    probabilities = scores.probability.astype(np.float64)
    return {
        "n": len(labels),
        "positives": int(labels.sum()),
        "auc": metrics.auc(labels, scores.calibrated),
        "uar": metrics.uar(labels, probabilities >= threshold),
        "ece": metrics.ece(labels, probabilities),
    }


def grouped(groups: Mapping[str, str], parts: Mapping[Any, MemoFeatures]) -> dict[str, str]:
    """A memo's subgroups: those of the manifest, with ages in bands, and its duration and SNR."""
    part = next(iter(parts.values()))
    known = dict(groups)
    if "age" in known:
        known["age"] = _age(known["age"])
    return {
        **known,
        "duration_s": _between(part.duration_s, DURATIONS_S),
        "snr_db": _between(part.quality.snr_db, SNRS_DB),
    }


def _age(text: str) -> str:
    try:
        return _between(float(text), AGES)
    except ValueError:
        return text


def _between(value: float, edges: Sequence[float]) -> str:
    """Label of the interval between edges that contains `value`.

    >>> _between(7.0, (5.0, 15.0))
    '5 to 15'
    """
    below = [edge for edge in edges if value >= edge]
    above = [edge for edge in edges if value < edge]
    if not below:
        return f"under {edges[0]:g}"
    return f"{below[-1]:g} to {above[0]:g}" if above else f"{edges[-1]:g} and more"


def judge(bundle: Bundle, corpus: Corpus, features: LabelledFeatures, side: str | None) -> Evaluation:
    """Evaluate on one side of the split, or on all if `side` is None.

    Raises ConfigurationError for recordings that the bundle was trained on.
    """
    sides = sides_of(corpus, features)
    judged = np.ones(len(sides), bool) if side is None else sides == side
    hashes = [h for h, s in zip(corpus.hashes, corpus.sides, strict=True) if side in (None, s)]
    refuse_seen(hashes, bundle.training.get("recordings", []))
    found = evaluate(bundle, features.examples, groups_of(features), judged=judged)
    return replace(found, figures=found.figures | {"left_out": dict(features.failed)})
