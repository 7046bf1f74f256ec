"""One person's scores as CSV, a line for each memo, for a spreadsheet or a program. Pure."""

import csv
from collections.abc import Iterable
from io import StringIO

from schemas.markers import MARKER_NAMES
from streams.views.spreadsheet import BYTE_ORDER_MARK, safe
from streams.web.person.timeline import Memo

COLUMNS = (
    "recorded_at", "uploaded_at", "scored_at", "memo_id", "band", "probability", "judged", "reasons", "modalities",
    "bundle_id", "statistic", "threshold", "normal_low", "normal_mean", "normal_high", "baseline_days", "fragile",
)  # fmt: skip
OF_MARKER = ("value", "usual", "deviation_sd", "contribution")


def scores_csv(memos: Iterable[Memo]) -> str:
    """The file, with a byte order mark, by which spreadsheets know UTF-8. A marker that a memo does not name is empty.

    A text that begins like a formula gets an apostrophe in front, so that opening the file runs nothing.
    """
    out = StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, *(f"{marker}_{each}" for marker in MARKER_NAMES for each in OF_MARKER)])
    for memo in memos:
        writer.writerow([*_memo(memo), *_markers(memo)])
    return BYTE_ORDER_MARK + out.getvalue()


def _memo(memo: Memo) -> list[str | float | None]:
    score, normal = memo.score, memo.normal
    return [
        score.recorded_at.isoformat(),
        score.uploaded_at.isoformat(),
        score.scored_at.isoformat(),
        safe(score.memo_id),
        score.band,
        score.probability,
        memo.judged,
        safe(" ".join(score.reasons)),
        " ".join(score.modalities),
        safe(score.bundle_id),
        memo.statistic,
        memo.threshold,
        *((normal.low, normal.mean, normal.high) if normal else (None, None, None)),
        memo.baseline_days,
        " ".join(each.name for each in score.evidence if each.fragile and each.name in MARKER_NAMES),
    ]


def _markers(memo: Memo) -> list[float | None]:
    named = {each.name: each for each in memo.score.evidence}
    found: list[float | None] = []
    for marker in MARKER_NAMES:
        each = named.get(marker)
        found += [None] * len(OF_MARKER) if each is None else [getattr(each, column) for column in OF_MARKER]
    return found
