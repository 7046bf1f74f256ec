"""Train, evaluate and save a bundle from a corpus."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from schemas.bundle_manifest import ENCODER
from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality
from workers.corpora.corpus import TRAIN, Corpus, Progress, groups_of, sides_of
from workers.corpora.examples import Examples, default_memos
from workers.corpora.features import LabelledFeatures
from workers.corpora.leakage import fingerprints
from workers.evaluation.evaluate import evaluate
from workers.evaluation.model_card import card_of
from workers.scoring.bundle import Bundle, save
from workers.training.cross_validation import held_out_by, hold_out
from workers.training.fit_bundle import Fitted, fit
from workers.training.held_out_metrics import cross_validated
from workers.training.model_selection import settled_apart
from workers.training.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A saved bundle.

    figures: metrics of its head and of the logistic baseline on held-out speakers, and on the test side.
    """

    bundle: Bundle
    figures: Mapping[str, Any]


def train(
    corpus: Corpus,
    features: LabelledFeatures,
    recipe: Recipe,
    out: Path,
    *,
    encoder: str | None = None,
    progress: Progress = lambda _: None,
) -> Trained:
    """Fit, evaluate on held-out speakers and on any test side, and save. progress: called with the folds done.

    features: of the whole corpus, including the test side; encoder: checkpoint folder, copied into the bundle, or hub
    name. Raises ConfigurationError when the train side is empty, or as `fit` does.
    """
    sides = sides_of(corpus, features)
    learnt = features.examples.chosen(sides == TRAIN)
    if not len(learnt):
        raise ConfigurationError("the train side of the split has no memo")
    if default_memos(learnt) == 0:
        # Every speaker has one label only: a personal baseline would hide it, in training and in evaluation.
        recipe = replace(recipe, cold_starts=(0,))
    training = {
        "data": f"{len(learnt)} memos of {len(np.unique(learnt.speakers))} speakers",
        "corpus": corpus.digest,
        "seed": recipe.seed,
        "versions": {package: metadata.version(package) for package in ("keras", "numpy", "opensmile", "scikit-learn")},
        "recordings": fingerprints([h for h, s in zip(corpus.hashes, corpus.sides, strict=True) if s == TRAIN]),
    }
    fitted = fit(learnt, features.extractors, recipe, name="undertone", progress=progress)
    figures = judged_by_folds(fitted, learnt, features.extractors, recipe, progress)
    settled = {k: v for k, v in asdict(fitted.held_out.recipe).items() if k not in ("acoustic", "markers", "silent")}
    provenance = training | {"recipe": settled, "held_out": figures}
    bundle = _with_encoder(replace(fitted.bundle, training=provenance), encoder, out)
    if (sides != TRAIN).any():
        figures["test"] = evaluate(bundle, features.examples, groups_of(features), judged=sides != TRAIN).figures
    return Trained(save(bundle, out, card_of(bundle, figures[recipe.kind])), figures)


def judged_by_folds(
    fitted: Fitted,
    examples: Examples,
    extractors: Mapping[Modality, Extractor],
    recipe: Recipe,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Metrics by kind, of the fitted head and of the logistic baseline, on held-out speakers.

    recipe: as given to `fit`. All speakers took part in its open choices, which biases the metrics slightly upwards.
    So `choices_apart` has the same metrics with each fold's choices made without it, and the number of folds that
    chose differently from the bundle; it is None with too few speakers.
    """
    made = fitted.held_out.recipe
    figures: dict[str, Any] = {}
    with threadpool_limits(1, "blas"):
        choices = settled_apart(examples, extractors, recipe, made, progress)
        for kind in dict.fromkeys((made.kind, "logistic")):
            alike = replace(made, kind=kind)
            held_out = fitted.held_out if kind == made.kind else hold_out(examples, extractors, alike)
            figures[kind] = cross_validated(examples, held_out) | {"choices_apart": None}
            if choices is not None:
                own = [replace(choice, kind=kind) for choice in choices]
                figures[kind]["choices_apart"] = {
                    **cross_validated(examples, held_out_by(own, held_out, examples, extractors)),
                    "folds_choosing_otherwise": sum(choice != alike for choice in own),
                }
    return figures


def _with_encoder(bundle: Bundle, encoder: str | None, out: Path) -> Bundle:
    """The bundle with its encoder: a checkpoint folder is copied, a hub name is stored."""
    if Modality.EMBEDDING not in bundle.modalities or encoder is None:
        return bundle
    if not Path(encoder).is_dir():
        return replace(bundle, encoder=encoder)
    if Path(encoder).resolve() != (out / ENCODER).resolve():
        shutil.copytree(encoder, out / ENCODER, dirs_exist_ok=True)
    return replace(bundle, encoder=ENCODER)
