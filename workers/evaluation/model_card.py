"""The model card of a bundle, with the headings of Mitchell et al. 2019 (arXiv:1810.03993)."""

import math
from collections.abc import Mapping
from typing import Any

from schemas.generated_page import table
from workers.scoring.bundle import Bundle

TEMPLATE = """# {{id}}

## Model details
Head `{kind}` over {features} features ({modalities}), scored as deviations from the user's own baseline, which is
shrunk to the population while it is young{patience}. {first}
Calibrated by {calibration}; abstains between {low:.2f} and {high:.2f}.

## Intended use
A number to watch for change within one person, read by people who can judge it. Never a diagnosis, and never the only
ground for a decision about a person.

## Training data
{data}

## Evaluation data and metrics
{evaluation}

## Factors
Language, age, sex, microphone, room and illness of the throat all move the features. The personal baseline takes out
what stays the same in one person; it cannot take out what changes together with the voice.

## Limits
Scores of people unlike the training speakers may be wrong in ways that no figure above shows. Features from another
encoder or another openSMILE configuration are refused. openSMILE is free for research; commercial use needs a licence
of audEERING.
"""

FIRST = "Who has no baseline yet is scored by a head of their own."
HELD_OUT = """On speakers of the training data, each held out in turn. All of them had a part in the choices (how
patient, whether two heads), which flatters them a little."""
CHOSEN_APART = (
    "In the last column each fold has choices that its speakers had no part in ({differing} of {folds} differ)."
)
FOR_PROGRAMS = ("corpus", "recordings", "recipe", "held_out")
"""Entries of the training in the manifest that only programs read: digests, settings, all figures."""
IN_THE_MANIFEST = "Digests of the recordings, the recipe and all figures are in `manifest.json`, under `training`."
COUNTS = ("n", "speakers", "positives", "folds")
ONE = "Who has no baseline yet is scored by the same head."


def card_of(bundle: Bundle, evaluation: Mapping[str, Any] | None = None) -> str:
    """Markdown with the placeholder `{id}`. evaluation: metrics by name, as from `undertone evaluate`."""
    return TEMPLATE.format(
        kind=bundle.head.kind,
        features=len(bundle.names),
        modalities=" and ".join(bundle.modalities),
        calibration=bundle.calibration.kind,
        low=bundle.bands.low,
        patience=_patience(bundle.population.patience),
        first=FIRST if bundle.first else ONE,
        high=bundle.bands.high,
        data="\n".join(_training(bundle.training)),
        evaluation=_evaluation(evaluation) if evaluation else "Not evaluated on people.",
    )


def _training(training: Mapping[str, Any]) -> list[str]:
    """What people want to know of the training: all but what only programs read."""
    known = {key: value for key, value in training.items() if key not in ("data", *FOR_PROGRAMS)}
    rows = [f"* {key}: {_in_words(value)}" for key, value in known.items()]
    hint = ["", IN_THE_MANIFEST] if any(key in training for key in FOR_PROGRAMS) else []
    return [str(training.get("data", "Not described.")), *rows, *hint]


def _evaluation(figures: Mapping[str, Any]) -> str:
    """The figures as a table, those with choices made apart in a column of their own."""
    apart = figures.get("choices_apart")
    size = "{n} memos of {speakers} speakers, {positives} positive, in {folds} folds.".format_map(figures)
    notes, heads, columns = [HELD_OUT], ["figure", "held out"], [figures]
    if apart:
        notes.append(CHOSEN_APART.format(differing=apart["folds_choosing_otherwise"], folds=apart["folds"]))
        heads, columns = [*heads, "choices apart"], [figures, apart]
    names = [name for name in figures if name not in (*COUNTS, "choices_apart")]
    rows = [[name.replace("_", " "), *(_in_words(column[name]) for column in columns)] for name in names]
    return "\n".join([*notes, "", size, "", table(heads, rows)])


def _in_words(value: Any) -> str:
    """A value of the training or a figure, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_in_words(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(map(_in_words, value))
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else "–"
    return str(value)


def _patience(times: float) -> str:
    return f" ({times:g} times as long as variances alone ask for)" if times != 1 else ""
