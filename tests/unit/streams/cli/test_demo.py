"""What the demo prints of its alerts."""

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from schemas.events import AlertEvidence, AlertKind, AlertState
from streams.cli.demo import WIDTH, _Lines, _table, alert_lines, dashboard_line, ignored_line
from streams.local.dashboard import Dashboard
from streams.local.demo import DemoRun, new_run
from tests.unit.streams.alerts import alert
from tests.unit.streams.scores import scored

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def a_run() -> DemoRun:
    """A drift and a level alert of one user by the same memo, with more evidence than a line takes."""
    run = new_run(NOW)
    user = run.users[0].user_id
    evidence = tuple(AlertEvidence(f"a_long_marker_{n}", 1.0, 0.5, 12.5, contribution=0.4) for n in range(5))
    for kind in (AlertKind.DRIFT, AlertKind.LEVEL):
        for state in (AlertState.RAISED, AlertState.ESCALATED):
            run.note(replace(alert(state, user, kind=kind), evidence=evidence))
    for number in range(60):
        score = replace(scored(1.0, number), user_id=user, score_id=str(number))
        run.note(replace(score, memo_id=next(iter(run.alerts.values())).memo_id) if number == 59 else score)
    return run


def test_a_drift_and_a_level_alert_of_one_memo_are_told_apart() -> None:
    lines = alert_lines(a_run())
    assert len(set(lines)) == len(lines) == 5
    assert any("drift raised" in line for line in lines)
    assert any("level raised" in line for line in lines)
    assert "+0.40 (+12.5 SD)" in lines[-1]


def test_the_alerts_fit_the_width() -> None:
    assert max(map(len, alert_lines(a_run()))) <= WIDTH


def test_the_live_table_fits_the_width() -> None:
    out = StringIO()
    Console(file=out, width=200).print(_table(a_run(), began=0.0))
    rows = [line.rstrip() for line in out.getvalue().splitlines() if "submitted" not in line]
    assert max(map(len, rows)) <= WIDTH
    assert any("level" in row for row in rows)


def test_a_run_without_alerts_prints_its_head_alone() -> None:
    assert len(alert_lines(new_run(NOW))) == 1


def test_the_line_of_ignored_settings_stays_short() -> None:
    names = [f"UNDERTONE_{number}" for number in range(30)]
    assert ignored_line(names).endswith("UNDERTONE_0, UNDERTONE_1, UNDERTONE_2, UNDERTONE_3 and 26 more")


def test_without_a_terminal_every_new_wait_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = new_run(NOW)
    lines = _Lines(run, began=0.0)
    for extracted in ({}, {}, {"acoustic": 0}, {"acoustic": 0}, {"acoustic": 3}, {"acoustic": 3}):
        run.extracted = extracted
        lines.show()
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("; ")[2].split()[0:5] for line in told] == [
        ["starting", "the", "embedded", "broker,", "the"],
        ["waiting", "for", "the", "first", "features"],
        ["waiting", "for", "the", "first", "score"],
    ]


def test_the_first_line_says_where_to_look() -> None:
    assert dashboard_line(Dashboard("127.0.0.1", 8642)) == "dashboard: http://127.0.0.1:8642"
    assert "undertone-voice[dashboard]" in dashboard_line(None)
