"""What happened, for lanes and lists: episodes, marks, mutes and bundles, with their ends."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale

from schemas.event_enums import CareActionKind, MarkKind
from schemas.events import AlertKind, AlertState, CareAction, RiskAlert, Severity
from streams.drift.user_state import follow
from streams.history.care import Mark
from streams.history.episode import Episode
from streams.web.person.happened import KINDS, MARKS, SHAPES, STATES, mutes, spans, steps
from streams.web.person.reader import Reader
from streams.web.person.spans import Lane, Span
from streams.web.person.timeline import timeline
from tests.unit.streams.scores import RULES, START, calm, daily

READER = Reader(str, Locale("en", "GB"), ZoneInfo("UTC"))


def days(number: float) -> datetime:
    return START + timedelta(days=number)


def episode_of(kind: AlertKind, severity: Severity, opened_at: datetime, steps: tuple[RiskAlert, ...] = ()) -> Episode:
    return Episode(
        dedup_key="e",
        user_id="u",
        kind=kind,
        severity=severity,
        opened_at=opened_at,
        since=opened_at,
        closed_at=None,
        summary="",
        bundle_id="demo-1",
        steps=steps,
        actions=(),
        acknowledged=None,
        outcome=None,
        assignee=None,
    )


def mark_of(kind: MarkKind, since: datetime, until: datetime | None, *, excluded: bool) -> Mark:
    return Mark("m", kind, since, until, excluded, None, "local", since)


def muting(action: CareActionKind, at: float, until: float | None = None, note: str | None = None) -> CareAction:
    return CareAction(f"a{at}", "u", days(at), "local", action, note=note, until=None if until is None else days(until))


def test_a_mute_ends_when_it_was_said_to_or_when_it_was_taken_back_before() -> None:
    muted, unmuted = CareActionKind.MUTED, CareActionKind.UNMUTED
    found = list(
        mutes([muting(muted, 1, 5, "holiday"), muting(muted, 8, 20), muting(unmuted, 9), muting(muted, 30)], READER)
    )
    assert found == [
        Span(Lane.MUTE, days(1), days(5), "holiday"),
        Span(Lane.MUTE, days(8), days(9), "alerts muted"),
        Span(Lane.MUTE, days(30), None, "alerts muted"),
    ]


def test_every_lane_is_filled_and_what_needs_attention_is_strong() -> None:
    scores = [*daily(calm(8)), *daily(calm(8), first_day=8, bundle="demo-2")]
    episode = episode_of(AlertKind.LEVEL, Severity.CRITICAL, days(10))
    marks = [
        mark_of(MarkKind.TRAVEL, days(2), days(3), excluded=False),
        mark_of(MarkKind.NEW_PHONE, days(4), None, excluded=True),
    ]
    found = spans(timeline(scores, RULES, None, days(20)), [episode], marks, [], READER)
    assert found == (
        Span(Lane.BUNDLE, days(0), days(8), "demo-1"),
        Span(Lane.BUNDLE, days(8), None, "demo-2"),
        Span(Lane.CONTEXT, days(2), days(3), "travel"),
        Span(Lane.CONTEXT, days(4), None, "new phone", strong=True),
        Span(Lane.EPISODE, days(10), None, "mostly high scores", strong=True),
    )


def test_steps_have_the_agents_numbers_and_those_of_other_units_are_left_out() -> None:
    scores = daily([*calm(60), *(logit + 3 for logit in calm(30, seed=5)), *calm(40, seed=6)])
    _, alerts = follow(None, scores, RULES)
    of_drift = [alert for alert in alerts if alert.kind is AlertKind.DRIFT]
    assert [alert.state for alert in of_drift] == [AlertState.RAISED, AlertState.ESCALATED, AlertState.RESOLVED]
    episode = episode_of(AlertKind.DRIFT, Severity.CRITICAL, alerts[0].at, tuple(alerts))
    found = steps([episode], READER)
    assert [(step.statistic, step.threshold) for step in found] == [(a.statistic, a.threshold) for a in of_drift[:2]]
    assert [(step.label, step.shape, step.strong) for step in found] == [
        ("raised", "inverted_triangle", False),
        ("escalated", "diamond", True),
    ]


def test_every_symbol_of_the_records_has_its_words() -> None:
    assert set(KINDS) == set(AlertKind)
    assert set(MARKS) == set(MarkKind)
    assert set(STATES) == set(SHAPES) == set(AlertState)


def test_of_a_person_without_memos_nothing_is_drawn() -> None:
    assert spans(timeline([], RULES, None, datetime(2026, 1, 1, tzinfo=UTC)), [], [], [], READER) == ()
