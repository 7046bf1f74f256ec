"""Back-tests give the agent's alerts, in any order of the lines."""

import json
import random

import pytest

from schemas.errors import Poison
from schemas.events import AlertState, RiskAlert
from schemas.json_records import to_plain
from streams.drift.detector import Outcome
from streams.drift.replay import Line, Replay, followed, history, line_of, parse, replay
from streams.drift.user_state import follow
from tests.unit.streams.scores import RULES, calm, daily

SCORES = daily([*calm(60), *(x + 1.5 for x in calm(30, seed=9)), *calm(40, seed=5)])


def _lines() -> list[Line]:
    return [line_of(score) for score in SCORES]


def test_a_replay_gives_the_agents_alerts() -> None:
    _, alerts = follow(None, SCORES, RULES)
    assert len(alerts) >= 3
    assert replay(_lines(), RULES) == alerts


@pytest.mark.parametrize("seed", range(5))
def test_lines_out_of_order_within_the_window_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    shaken = sorted(_lines(), key=lambda line: line.recorded_s + rng.uniform(0, RULES.reorder_s))
    assert shaken != _lines()
    assert replay(shaken, RULES) == replay(_lines(), RULES)


def test_a_user_after_the_other_is_as_both_at_once() -> None:
    others = [line._replace(user_id="v") for line in _lines()]
    mixed = [line for pair in zip(_lines(), others, strict=True) for line in pair]
    assert replay([*_lines(), *others], RULES) == replay(mixed, RULES)


def test_a_history_has_every_memo_and_the_same_alerts() -> None:
    moments = history([*_lines(), *_lines()], RULES)
    assert len(moments) == len(SCORES)
    alerts: list[RiskAlert] = [alert for moment in moments for alert in moment.alerts]
    assert alerts == replay(_lines(), RULES)
    raised = next(moment for moment in moments if any(a.state is AlertState.RAISED for a in moment.alerts))
    assert raised.verdict.chart.up > raised.verdict.threshold


def test_a_line_is_read() -> None:
    line = parse('{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T10:30:00.5+02:00", "probability": 0.5}')
    assert to_plain(line.observation.recorded_at) == "2026-05-01T08:30:00.500Z"
    assert (line.user_id, line.memo_id, line.observation.logit) == ("u", "m", 0.0)
    assert parse('{"user_id":"u","memo_id":"m","recorded_at":"2026-05-01t08:30:00z","probability":1}').memo_id == "m"


@pytest.mark.parametrize("change", [{"probability": None}, {"band": "indeterminate"}])
def test_an_abstention_has_no_logit(change: dict[str, object]) -> None:
    value = {"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.5} | change
    assert parse(json.dumps(value)).observation.logit is None


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "3",
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z"}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00", "probability": 0.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "yesterday", "probability": 0.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": 5, "probability": 0.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 1.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": NaN}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": true}',
        '{"user_id": 7, "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.5, "band": "x"}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "9999-12-31T23:59:59-12:00", "probability": 0.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "0001-01-01T00:00:00+14:00", "probability": 0.5}',
        '{"user_id": "u\\ud800", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.5}',
        '{"user_id": "u", "memo_id": "", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.5}',
        '{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": ' + "[" * 100_000,
        "null",
    ],
)
def test_an_invalid_line_is_rejected_with_the_expected_format(text: str) -> None:
    with pytest.raises(Poison, match="expected"):
        parse(text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": 7}, "score:id"),
        ({"bundle_id": ""}, "score:id"),
        ({"recorded_at": "yesterday"}, "score:moment"),
        ({"uploaded_at": "1969-12-31T23:59:59Z"}, "score:moment"),
        ({"probability": 1.5}, "score:probability"),
        ({"band": "missing"}, "score:band"),
        ({"band": "x - at `$.user_id`"}, "score:band"),
    ],
)
def test_an_invalid_line_is_reported_by_field(change: dict[str, object], reason: str) -> None:
    value = {"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.5} | change
    with pytest.raises(Poison) as raised:
        parse(json.dumps(value))
    assert raised.value.reason == reason
    assert raised.value.detail.startswith(next(iter(change)))


def test_a_missing_field_is_reported() -> None:
    with pytest.raises(Poison, match="missing recorded_at") as raised:
        parse('{"user_id": "u", "memo_id": "m", "probability": 0.5}')
    assert raised.value.reason == "score:incomplete"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Poison, match="expected"):
        parse(b'{"user_id": "\xff"}')


def test_a_clock_that_was_ahead_is_detected_by_the_upload_time() -> None:
    line = '{"user_id":"u","memo_id":"m","recorded_at":"2099-05-01T08:30:00Z","probability":0.5,"uploaded_at":"%s"}'
    detector = Replay(RULES)
    followed([parse(line % "2026-05-01T08:31:00Z"), *_lines()], detector)
    assert detector.left_out == {Outcome.FUTURE: 1}


def test_late_scores_are_counted() -> None:
    detector = Replay(RULES)
    assert followed([*_lines(), _lines()[0]._replace(memo_id="new")], detector) == replay(_lines(), RULES)
    assert detector.left_out == {Outcome.LATE: 1}
