"""What became of a memo, in the words and numbers of a language."""

from dataclasses import replace

import numpy as np

from schemas.events import Band, Evidence, MemoFeatures
from schemas.markers import MARKER_NAMES, MARKERS
from streams.web.languages import languages
from streams.web.trial.outcome import marker_rows, outcome
from tests.unit.schemas.records import FEATURES, SCORED

ENGLISH, GERMAN = languages()["en"], languages()["de"]


def acoustic(**values: float) -> MemoFeatures:
    """Acoustic features whose markers have these values, others 1."""
    summary = np.array([values.get(name, 1.0) for name in MARKER_NAMES], np.float32)
    undefined = tuple(f"{name}:no_pause" for name, value in values.items() if np.isnan(value))
    quality = replace(FEATURES.quality, fragile=("hnr",))
    return replace(FEATURES, names=MARKER_NAMES, summary=summary, undefined=undefined, quality=quality)


def test_every_marker_is_listed_in_its_unit_and_in_the_language() -> None:
    rows = marker_rows(acoustic(pause_share=0.4137, pitch_median=187.4), ENGLISH)
    assert [row.title for row in rows] == [marker.title for marker in MARKERS]
    values = dict(zip(MARKER_NAMES, rows, strict=True))
    assert (values["pause_share"].value, values["pitch_median"].value) == ("0.41", "187 Hz")
    assert [name for name, row in values.items() if row.fragile] == ["hnr"]
    german = dict(zip(MARKER_NAMES, marker_rows(acoustic(pause_rate=12.3), GERMAN), strict=True))
    assert german["pause_rate"].value == "12 pro Minute"


def test_a_marker_without_a_value_says_why() -> None:
    (row,) = [
        row
        for name, row in zip(MARKER_NAMES, marker_rows(acoustic(pause_mean=float("nan")), ENGLISH), strict=True)
        if name == "pause_mean"
    ]
    assert row.value == "no pause"


def test_evidence_says_what_is_heard_and_what_it_adds() -> None:
    evidence = (
        Evidence("pause_share", 0.41, 2.5, contribution=0.8, usual=0.22),
        Evidence("of_a_newer_bundle", 3.0, -1.25, fragile=True),
    )
    shown = outcome(replace(SCORED, band=Band.HIGH, probability=0.7, reasons=(), evidence=evidence), ENGLISH)
    assert (shown.band, shown.probability, shown.reasons) == ("High", 0.7, ())
    first, second = shown.evidence
    assert (first.title, first.heard, first.value, first.usual) == (
        "pause share",
        "longer pauses than usual",
        "0.41",
        "0.22",
    )
    assert (first.deviation, first.contribution, first.fragile) == ("+2.5 SD", "+0.80", False)
    assert (second.title, second.usual, second.contribution, second.fragile) == ("of a newer bundle", "", "–", True)


def test_an_abstention_says_why() -> None:
    reasons = ("quality:noisy", "missing:embedding")
    shown = outcome(replace(SCORED, band=Band.INDETERMINATE, probability=None, reasons=reasons), ENGLISH)
    assert (shown.band, shown.reasons) == ("Not judged", ("too noisy", "an analysis is missing"))
