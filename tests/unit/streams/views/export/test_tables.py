"""Tables for spreadsheets: a line for each memo and marker, and no formula whatever ids say."""

import csv
from io import StringIO

from streams.views.export.tables import markers_csv, scores_csv
from tests.unit.streams.views.export.held import MEMO, held


def rows(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(StringIO(text[1:], newline="")))


def test_scores_are_a_line_a_memo_with_published_names() -> None:
    first, *_ = rows(scores_csv(held().scores))
    assert first["memo_id"] == f"'{MEMO}"
    assert (first["probability"], first["band"], first["modalities"]) == ("0.25", "low", "acoustic embedding")
    assert first["recorded_at"] == "2026-03-01T12:30:15.250Z"


def test_markers_have_their_unit_and_unknown_ones_none() -> None:
    found = [row for row in rows(markers_csv(held().scores)) if row["memo_id"] == f"'{MEMO}"]
    pause, clearness, foreign = found
    assert (pause["title"], pause["value"], pause["contribution"]) == ("pause share", "0.4", "")
    assert (clearness["unit"], clearness["deviation_sd"], clearness["fragile"]) == ("dB", "-2.5", "yes")
    assert (foreign["marker"], foreign["title"]) == ("'-1+foreign", "")
