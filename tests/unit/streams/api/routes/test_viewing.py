"""Who may see which person, and what an operator is not shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import Request
from starlette.exceptions import HTTPException

from schemas import topics
from schemas.event_enums import AuditAction
from schemas.events import AlertKind, Band, Severity
from streams.access.viewer import StaffRole, Viewer
from streams.api.routes.viewing import check_speaker, without_scores
from streams.history.attention import Attention
from streams.history.caseload import CaseloadRow, EpisodeSummary
from tests.dashboards import dashboard
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


async def test_a_memo_of_another_cohort_is_refused_and_that_is_recorded(tmp_path: Path) -> None:
    asking = Viewer("ann", frozenset({StaffRole.CLINICIAN}), ("north",))
    async with dashboard(tmp_path) as here:
        request = Request({"type": "http", "headers": [], "state": {"viewer": asking}, "app": here.app})
        await check_speaker(request, here.services, "north-1")
        with pytest.raises(HTTPException) as refused:
            await check_speaker(request, here.services, "south-1")
        (look,) = await here.records(topics.AUDIT)
    assert refused.value.status_code == 404
    assert (look.action, look.actor, look.user_ids, look.allowed) == (AuditAction.REFUSED, "ann", ("south-1",), False)
