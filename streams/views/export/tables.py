"""Scores and markers of a person as CSV, for a spreadsheet or a program. Pure."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from schemas.events import Evidence, RiskScored
from schemas.json_records import to_plain
from schemas.markers import MARKER
from streams.views.spreadsheet import BYTE_ORDER_MARK, safe

SCORES = (
    "memo_id", "recorded_at", "uploaded_at", "scored_at", "band", "probability", "reasons", "modalities", "bundle_id",
)  # fmt: skip
MARKERS = (
    "memo_id", "recorded_at", "marker", "title", "unit", "value", "usual", "deviation_sd", "contribution", "fragile",
)  # fmt: skip


def scores_csv(scores: Iterable[RiskScored]) -> str:
    """One line for each memo: when, and what was made of it."""
    return _written(SCORES, map(_score, scores))


def markers_csv(scores: Iterable[RiskScored]) -> str:
    """One line for each marker that moved the score of a memo."""
    return _written(MARKERS, (_marker(score, each) for score in scores for each in score.evidence))


def _score(score: RiskScored) -> Iterator[object]:
    for column in SCORES:
        value = getattr(score, column)
        yield " ".join(value) if isinstance(value, tuple) else value


def _marker(score: RiskScored, each: Evidence) -> list[object]:
    known = MARKER.get(each.name)
    title, unit = (known.title, known.unit) if known else ("", "")
    numbers = (each.value, each.usual, each.deviation_sd, each.contribution)
    return [score.memo_id, score.recorded_at, each.name, title, unit, *numbers, "yes" if each.fragile else "no"]


def _written(columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    """The file. A text that begins like a formula gets an apostrophe in front: opening the file runs nothing."""
    out = StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        plain = [to_plain(cell) for cell in row]
        writer.writerow([safe(cell) if isinstance(cell, str) else cell for cell in plain])
    return BYTE_ORDER_MARK + out.getvalue()
