"""The page's content: the time that was asked for, the memo that is explained, pages of the table."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from schemas.events import Evidence
from streams.web.person.reader import Reader
from streams.web.person.report import PAGE, Asked, Period, Stored, report
from tests.unit.streams.scores import RULES, START, calm, daily

READER = Reader(str, Locale("en", "GB"), ZoneInfo("UTC"))
EVIDENCE = (Evidence("pause_share", 0.4, 2.2, contribution=0.5),)
STORED = Stored([replace(score, evidence=EVIDENCE) for score in daily(calm(120))], (), (), ())
NOW = START + timedelta(days=120)


@pytest.mark.parametrize(("period", "memos"), [(Period.WEEK, 7), (Period.MONTH, 30), (Period.ALL, 120)])
def test_charts_and_tables_are_of_the_period_and_the_baseline_of_all_memos(period: Period, memos: int) -> None:
    found = report(STORED, Asked(period), RULES, READER, NOW)
    assert len(found.shown.memos) == memos
    assert found.following.baseline_days == 120


def test_the_table_is_paged_newest_first_and_a_page_beyond_is_the_last() -> None:
    pages = [report(STORED, Asked(Period.ALL, page=number), RULES, READER, NOW) for number in (1, 3, 99, -1)]
    assert [len(page.memos) for page in pages] == [PAGE, 20, 20, PAGE]
    assert [page.page for page in pages] == [1, 3, 3, 1]
    assert pages[0].memos[0].recorded_at == START + timedelta(days=119)
    assert pages[0].pages == 3


def test_the_latest_memo_is_explained_or_the_one_that_is_asked_for() -> None:
    latest, asked, unknown = (
        report(STORED, Asked(memo=memo), RULES, READER, NOW).explained for memo in (None, "m5", "<nothing>")
    )
    assert latest is not None
    assert asked is not None
    assert latest == unknown
    assert (latest.score.memo_id, asked.score.memo_id) == ("m119", "m5")


def test_why_has_words_deviation_and_contribution() -> None:
    (why,) = report(STORED, Asked(), RULES, READER, NOW).why
    assert (why.title, why.words, why.evidence) == ("pause share", "longer pauses than usual", EVIDENCE[0])


def test_of_nobody_there_is_one_empty_page() -> None:
    found = report(Stored((), (), (), ()), Asked(Period.ALL), RULES, READER, NOW)
    assert (found.explained, found.why, found.markers, list(found.memos), found.pages) == (None, (), (), [], 1)
