"""What an operator is not shown."""

from dataclasses import replace

from schemas.events import AlertKind, Band, Severity
from streams.api.routes.viewing import without_scores
from streams.history.attention import Attention
from streams.history.caseload import CaseloadRow, EpisodeSummary
from tests.history import NOW

EPISODE = EpisodeSummary("e", AlertKind.DRIFT, Severity.WARNING, NOW, NOW, "speaks slower", None, None, True)
ROW = CaseloadRow(
    "anna",
    "north",
    Attention.WARNING,
    NOW,
    EPISODE,
    NOW,
    Band.HIGH,
    0.7,
    (0.1, 0.7),
    9,
    7.0,
    0.2,
    "quality:noisy",
    None,
)


def test_states_stay_and_scores_and_words_go() -> None:
    shown = without_scores(ROW)
    assert (shown.user_id, shown.attention, shown.memos, shown.indeterminate_share) == (
        "anna",
        Attention.WARNING,
        9,
        0.2,
    )
    assert (shown.last_band, shown.last_probability, shown.spark, shown.indeterminate_reason) == (None, None, (), None)
    assert shown.episode == replace(EPISODE, summary="")
