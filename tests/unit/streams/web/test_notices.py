"""What pages say about the system itself."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from streams.recovery.resubmit import Mark
from streams.web.languages import languages
from streams.web.notices import RELEARNED, Notice, SystemState, lost_at, notices

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ENGLISH, GERMAN = languages()["en"], languages()["de"]


def said(state: SystemState, language: object = ENGLISH) -> list[Notice]:
    return notices(state, NOW, language, ZoneInfo("UTC"))  # type: ignore[arg-type]


def test_a_demonstration_model_is_marked_and_another_is_not() -> None:
    (notice,) = said(SystemState("demo-2026-01"), GERMAN)
    assert notice.kind == "demo"
    assert "demo-2026-01" in notice.text
    assert said(SystemState("clinic-7")) == []
    assert said(SystemState()) == []


def test_data_that_is_behind_says_by_how_much() -> None:
    (notice,) = said(SystemState(behind_s=12 * 60.0))
    assert "12 minutes behind" in notice.text
    assert said(SystemState(behind_s=20.0)) == []


def test_a_store_that_does_not_answer_is_the_gravest() -> None:
    (notice,) = said(SystemState(store_answers=False))
    assert notice.kind == "fault"


@pytest.mark.parametrize(("ago", "shown"), [(timedelta(days=1), True), (RELEARNED + timedelta(days=1), False)])
def test_a_store_that_lost_its_data_says_until_when_silence_says_less(ago: timedelta, shown: bool) -> None:
    told = said(SystemState(store_lost_at=NOW - ago))
    assert [("silence says less until 29 Mar 2026" in notice.text) for notice in told] == ([True] if shown else [])


def test_a_mark_made_at_the_first_memo_is_no_loss() -> None:
    mark = Mark(NOW.timestamp(), "agent", 0.0)
    assert lost_at(mark, NOW + timedelta(minutes=5)) is None
    assert lost_at(mark, NOW - timedelta(minutes=5)) is None
    assert lost_at(mark, None) is None
    assert lost_at(None, NOW) is None
    assert lost_at(mark, NOW - timedelta(days=30)) == NOW
