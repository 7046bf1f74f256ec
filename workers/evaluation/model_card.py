"""The model card of a bundle, with the headings of Mitchell et al. 2019 (arXiv:1810.03993)."""

from collections.abc import Mapping
from typing import Any

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
CHOSEN_APART = "The same with each fold under choices that its speakers had no part in:"
ONE = "Who has no baseline yet is scored by the same head."


def card_of(bundle: Bundle, evaluation: Mapping[str, Any] | None = None) -> str:
    """Markdown with the placeholder `{id}`. evaluation: metrics by name, as from `undertone evaluate`."""
    training = {key: value for key, value in bundle.training.items() if key != "data"}
    judged = dict(evaluation or {})
    apart = judged.pop("choices_apart", None)
    figures = _listed(judged) + (f"\n{CHOSEN_APART}\n{_listed(apart)}" if apart else "")
    return TEMPLATE.format(
        kind=bundle.head.kind,
        features=len(bundle.names),
        modalities=" and ".join(bundle.modalities),
        calibration=bundle.calibration.kind,
        low=bundle.bands.low,
        patience=_patience(bundle.population.patience),
        first=FIRST if bundle.first else ONE,
        high=bundle.bands.high,
        data="\n".join(
            [str(bundle.training.get("data", "Not described.")), *(f"* {k}: {v}" for k, v in training.items())]
        ),
        evaluation=f"{HELD_OUT}\n{figures}".rstrip() if evaluation else "Not evaluated on people.",
    )


def _listed(figures: Mapping[str, Any]) -> str:
    return "".join(f"* {name}: {value}\n" for name, value in figures.items())


def _patience(times: float) -> str:
    return f" ({times:g} times as long as variances alone ask for)" if times != 1 else ""
