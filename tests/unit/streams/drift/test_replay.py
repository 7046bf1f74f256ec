"""Back-tests give the agent's alerts for the order in which scores arrived."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.errors import Poison
from schemas.events import AlertState, Band, RiskAlert, RiskScored
from schemas.json_records import to_plain
from streams.drift.agent import DriftAgent
from streams.drift.detector import Outcome
from streams.drift.replay import ArrivalReplay, Line, Replay, followed, history, line_of, parse, replay
from streams.drift.user_state import follow, follow_in_detail
from tests.unit.streams.mortal_world import Faults, Topic
from tests.unit.streams.scores import RULES, calm, daily, scored
from workers.kafka.producer import Delivery
from workers.kafka.record import Batch, Source
from workers.service.record_time import arrived_s
from workers.state.store import MemoryStore

SCORES = daily([*calm(60), *(x + 1.5 for x in calm(30, seed=9)), *calm(40, seed=5)])


def _lines() -> list[Line]:
    return [line_of(score) for score in SCORES]


def test_a_replay_gives_the_agents_alerts() -> None:
    _, alerts = follow(None, SCORES, RULES)
    assert len(alerts) >= 3
    assert replay(_lines(), RULES) == alerts


@pytest.mark.parametrize("seed", range(5))
def test_lines_in_any_order_within_the_window_give_the_alerts_of_sorted_ones(seed: int) -> None:
    rng = random.Random(seed)
    shaken = sorted(_lines(), key=lambda line: line.recorded_s + rng.uniform(0, RULES.reorder_s))
    assert shaken != _lines()
    assert followed(shaken, Replay(RULES)) == replay(_lines(), RULES)


NOW = datetime(2026, 11, 1, tzinfo=UTC)
WRONG_CLOCKS = tuple(datetime(year, 1, 1, tzinfo=UTC) for year in (2035, 2199, 1970, 2001))


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[RiskScored, int]]:
    """A user's scores with Kafka's timestamps, as they arrive: late, doubled, revised, of two bundles, wrong clocks."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([0.0, 1.0, 3.0, 30.0]))
    changed, moved = draw(st.integers(20, 90)), draw(st.integers(30, 200))
    found = []
    for day in range(draw(st.integers(1, 90))):
        logit = None if rng.random() < 0.1 else rng.gauss(-1.0, 0.5) + 2.0 * (day >= changed)
        one = scored(logit, day + rng.random() / 2, memo=f"m{day}", bundle=f"demo-{1 + (day >= moved)}")
        arrived = day + rng.uniform(0, spread) if rng.random() < 0.5 else float(day)
        if rng.random() < 0.05:
            wrong = rng.choice([*WRONG_CLOCKS, one.recorded_at + timedelta(days=30)])
            one = replace(one, recorded_at=wrong, uploaded_at=wrong)
        stamp = round(scored(0.0, arrived + 0.5).recorded_at.timestamp() * 1000)
        stamp = rng.choice([-1, -(2**63), 2**62, 0]) if rng.random() < 0.05 else stamp
        found += [(arrived, one, stamp)] * (1 + (rng.random() < 0.05))
        if logit is None and rng.random() < 0.5:
            revised = replace(one, probability=rng.random(), band=Band.LOW, reasons=(), score_id="revised")
            found.append((arrived + rng.uniform(0, 3), revised, stamp))
    return [(one, stamp) for _, one, stamp in sorted(found, key=lambda each: each[0])]


async def _agent(scores: list[tuple[RiskScored, int]], batch: int) -> list[RiskAlert]:
    """The distinct alerts that the agent publishes, by time."""
    codec, topic = Codec(), Topic(Faults())
    agent = DriftAgent(RULES, 1e9, MemoryStore(), cast("Delivery", topic), lambda: NOW)
    sources = [
        Source("risk.scored", 0, n, b"u", codec.encode(score), timestamp_ms=stamp)
        for n, (score, stamp) in enumerate(scores)
    ]
    for start in range(0, len(sources), batch):
        await agent.process(Batch(sources[start : start + batch]))
    return sorted(
        {alert.alert_id: alert for alert in topic.records}.values(), key=lambda a: (a.at, a.user_id, a.kind, a.alert_id)
    )


@given(arrivals(), st.integers(1, 50))
@settings(max_examples=100)
def test_agent_and_back_test_agree_on_any_order_of_arrival(scores: list[tuple[RiskScored, int]], batch: int) -> None:
    now_s = NOW.timestamp()
    lines = [
        line._replace(observation=line.observation._replace(arrived_s=arrived_s(stamp, now_s)))
        for line, stamp in ((line_of(score), stamp) for score, stamp in scores)
    ]
    detector = ArrivalReplay(RULES, now_s)
    assert followed(lines, detector) == asyncio.run(_agent(scores, batch))
    outcomes = follow_in_detail(
        None, [score for score, _ in scores], RULES, now_s, [stamp for _, stamp in scores]
    ).outcomes
    ignored = {Outcome.LATE, Outcome.CROWDED, Outcome.FUTURE, Outcome.RETIRED}
    assert detector.left_out == Counter(outcome for outcome in outcomes if outcome in ignored)


@pytest.mark.parametrize("detector", [ArrivalReplay, Replay])
def test_a_history_imported_after_the_first_live_memo_is_late(detector: type[ArrivalReplay]) -> None:
    course = detector(RULES)
    lines = _lines()
    followed([lines[61], *lines[:61], *lines[62:]], course)
    assert course.left_out == {Outcome.LATE: 59}


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
    detector = ArrivalReplay(RULES)
    followed([parse(line % "2026-05-01T08:31:00Z"), *_lines()], detector)
    assert detector.left_out == {Outcome.FUTURE: 1}


@pytest.mark.parametrize("kind", [ArrivalReplay, Replay])
@pytest.mark.parametrize("arrived", ["", ',"arrived_at":"2026-01-10T08:31:00Z"'])
def test_a_clock_that_was_ahead_is_detected_by_the_time_of_arrival(kind: type[ArrivalReplay], arrived: str) -> None:
    """Whatever the uploader says; without a time of arrival it is now."""
    at = "2026-02-10T08:31:00Z" if arrived else "2035-01-01T08:30:00Z"
    line = f'{{"user_id":"u","memo_id":"m","recorded_at":"{at}","probability":0.5,"uploaded_at":"{at}"{arrived}}}'
    detector = kind(RULES, NOW.timestamp())
    assert followed([*_lines()[:5], parse(line), *_lines()[5:]], detector) == replay(_lines(), RULES)
    assert detector.left_out == {Outcome.FUTURE: 1}


def test_late_scores_are_counted() -> None:
    detector = ArrivalReplay(RULES)
    assert followed([*_lines(), _lines()[0]._replace(memo_id="new")], detector) == replay(_lines(), RULES)
    assert detector.left_out == {Outcome.LATE: 1}
