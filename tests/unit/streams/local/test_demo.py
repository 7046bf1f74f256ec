"""The demo's script and what comes out of it."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import soundfile

from schemas.events import AlertState
from streams.local import demo
from streams.local.demo import BROKEN, DAYS, USERS, DemoRun, new_run
from tests.unit.schemas.records import DEAD, SCORED
from tests.unit.streams.alerts import alert
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.cohort import Course

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def run() -> DemoRun:
    return new_run(NOW)


def test_everybody_speaks_every_day_and_one_memo_is_broken(run: DemoRun) -> None:
    assert len(run.users) == USERS
    assert run.memos == USERS * DAYS + 1
    assert [user.course for user in run.users].count(Course.STABLE) == USERS - 2


def test_the_last_day_is_yesterday_so_that_no_one_is_silent_today(run: DemoRun) -> None:
    for user in run.users:
        assert timedelta(0) < NOW - user.memos[-1].recorded_at < timedelta(days=2)


def test_the_script_is_in_the_order_of_the_days_with_the_broken_memo_in_the_middle(run: DemoRun) -> None:
    lines = list(demo._script(run))
    assert len(lines) == run.memos
    assert all(earlier <= later for (_, earlier, _), (_, later, _) in pairwise(lines))
    assert lines[run.memos // 2][2]() == BROKEN
    assert {user for user, *_ in lines} == {user.user_id for user in run.users}


def test_a_memo_of_the_script_is_real_audio(run: DemoRun) -> None:
    user, recorded_at, sound = next(demo._script(run))
    signal, rate = soundfile.read(io.BytesIO(sound()))
    memo = next(m for u in run.users if u.user_id == user for m in u.memos if m.recorded_at == recorded_at)
    assert rate == SAMPLING_RATE
    assert len(signal) / rate == pytest.approx(memo.seconds, abs=0.01)


def test_what_is_delivered_twice_counts_once(run: DemoRun) -> None:
    records = [SCORED, alert(AlertState.RAISED), alert(AlertState.RESOLVED), DEAD]
    for record in [*records, *records, replace(SCORED, score_id="score-2")]:
        run.note(record)
    assert (len(run.scores), len(run.alerts), len(run.dead)) == (2, 2, 1)
    assert [run.steps(state) for state in AlertState] == [1, 0, 1]


def test_the_last_line_counts_everything(run: DemoRun) -> None:
    for record in (SCORED, alert(AlertState.RAISED), DEAD):
        run.note(record)
    line = run.summary(12.6)
    for part in (f"{run.memos} memos", "1 scored", "1 alerts", "1 raised", "0 resolved", "1 dead letters", "13 s"):
        assert part in line
    assert "\n" not in line


def test_a_run_says_what_it_waits_for_until_it_scores(run: DemoRun) -> None:
    waits = [run.activity()]
    for extracted in (
        {"acoustic": 0, "embedding": 0},
        {"acoustic": 9, "embedding": 0},
        {"acoustic": 9, "embedding": 8},
    ):
        run.extracted = extracted
        waits.append(run.activity())
    run.note(SCORED)
    waits.append(run.activity())
    for wait, part in zip(
        waits,
        ("starting the embedded", "of: acoustic, embedding", "of: embedding", "first score", "acoustic 9, embedding 8"),
        strict=True,
    ):
        assert part in wait
