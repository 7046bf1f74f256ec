"""`undertone drift`, as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli.drift import drift_app
from tests.unit.streams.scores import calm

SCORES = [*calm(60), *(x + 1.5 for x in calm(30, seed=9)), *calm(40, seed=5)]


def _text() -> str:
    lines = []
    for i, logit in enumerate(SCORES):
        day = f"2026-{1 + i // 28:02d}-{1 + i % 28:02d}T08:30:00Z"
        lines.append(
            {"user_id": "u", "memo_id": f"m{i}", "recorded_at": day, "probability": 1 / (1 + 2.718281828**-logit)}
        )
    return "\n".join(map(json.dumps, lines)) + "\n"


def _run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(drift_app, arguments, input=stdin)


def test_replay_prints_alerts_as_lines() -> None:
    result = _run("replay", "--alerts-per-user-year", "1", "--memos-per-day", "1", stdin=_text())
    assert result.exit_code == 0
    alerts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [alert["state"] for alert in alerts] == ["raised", "escalated", "resolved"]
    assert alerts[0]["user_id"] == "u"
    assert alerts[0]["at"].endswith("Z")


def test_replay_counts_what_the_agent_would_ignore_as_late() -> None:
    """A history that is imported after the first live memo."""
    lines = _text().splitlines()
    result = _run("replay", stdin="\n".join([lines[61], *lines[:61], *lines[62:]]))
    assert (result.exit_code, result.stderr) == (0, "ignored: 59 late\n")
    assert "59 late" in _run("replay", "--any-order", stdin="\n".join([lines[61], *lines[:61], *lines[62:]])).stderr


def test_replay_takes_lines_without_an_order_of_arrival_when_asked() -> None:
    lines = _text().splitlines()
    swapped = [line for pair in zip(lines[1::2], lines[::2], strict=True) for line in pair]
    assert _run("replay", "--any-order", stdin="\n".join(swapped)).stdout == _run("replay", stdin=_text()).stdout


def test_replay_names_bad_lines_and_follows_the_rest() -> None:
    result = _run("replay", stdin="{}\n" + _text() + "\nnonsense\n")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["line 1", "line 133"]


def test_calibrate_tells_threshold_run_length_and_delays() -> None:
    told = json.loads(_run("calibrate", "--alerts-per-user-year", "2", "--json").stdout)
    assert told["alerts_per_user_year"] == 2
    assert 2.5 < told["threshold"] < 5
    assert "at most 2 false alerts a year" in told["guarantee"]
    for condition in told["conditions"]:
        assert condition["false_alerts_per_user_year"]["value"] < condition["at_most"] <= 2.0001
        assert [delay["shift"] for delay in condition["delays"]] == [0.5, 1, 1.5, 2]
        assert all(delay["mean_memos"]["error"] > 0 for delay in condition["delays"])
    text = _run("calibrate", "--memos-per-day", "3", "--autocorrelation", "0.3").stdout
    assert "in-control ARL" in text
    assert sum(line.endswith("%") for line in text.splitlines()) == 4
    assert "at most 1 false alerts a year" in text
    assert "neighbouring ones correlate by 0.3;" in text


def test_plot_draws_a_user(tmp_path: Path) -> None:
    source, picture = tmp_path / "scores.jsonl", tmp_path / "u.png"
    source.write_text(_text())
    assert _run("plot", "--user", "u", "--scores", str(source), "--out", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    told = _run("plot", "--user", "u", "--scores", str(source), "--out", str(picture), "--json").stdout
    assert json.loads(told)["judged"] == {"scored": len(SCORES)}
    assert _run("plot", "--user", "nobody", "--scores", str(source), "--out", str(picture)).exit_code == 1


def test_plot_says_how_many_memos_were_not_judged(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in _text().splitlines()[:55]]
    for line in lines[1:]:
        line |= {"probability": None, "band": "indeterminate", "reasons": ["quality:noisy"]}
    source = tmp_path / "scores.jsonl"
    source.write_text("\n".join(map(json.dumps, lines)))
    told = _run("plot", "--user", "u", "--scores", str(source), "--out", str(tmp_path / "u.png")).stdout
    assert "54 of 55 memos were not judged, most of them (54) for: quality:noisy" in told


@pytest.mark.parametrize("budget", ["0.0001", "1000"])
def test_a_promise_that_cannot_be_kept_is_refused_with_the_range(budget: str) -> None:
    result = _run("calibrate", "--alerts-per-user-year", budget)
    assert result.exit_code != 0
    assert f"a budget of {budget} false alarms per user and year" in str(result.exception)
    assert not result.stdout


@pytest.mark.parametrize("command", ["calibrate", "replay", "plot"])
def test_help_is_there(command: str) -> None:
    assert _run(command, "--help").exit_code == 0
