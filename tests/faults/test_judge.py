"""The judge itself: what it must not overlook. It sees Avro's plain values, as they lie on the topics."""

from copy import deepcopy
from random import Random

import pytest

from schemas.codec import Codec
from tests.faults.judge import Content, Seen, Verdict, judge
from tests.faults.scenario import ROLES, Kill, Plan, Settled, Start, Upload, counted, told, without_faults
from tests.unit.schemas.records import UPLOADED

MEMOS = {"one", "two", "memo-1"}


def score(memo: str, **changes: object) -> Content:
    content = {"score_id": f"score of {memo}", "memo_id": memo, "user_id": "u", "scored_at": 1, "band": "low"}
    return {**content, "probability": 0.25, "evidence": [{"name": "pitch", "value": 3.0}], **changes}


def alert(name: str, **changes: object) -> Content:
    return {"alert_id": name, "user_id": "u", "statistic": 4.0, "baseline": {"n": 7, "mean": 0.5}, "at": 5, **changes}


def letter(**changes: object) -> Content:
    return {"dead_letter_id": "d", "value": Codec().encode(UPLOADED), "reason": "audio:x", "at": 1, **changes}


def day() -> Seen:
    """Two memos with scores, `memo-1` a dead letter, one alert."""
    return Seen([{"memo_id": memo} for memo in MEMOS], [score("one"), score("two")], [alert("a")], [letter()])


def verdict(seen: Seen, **options: set[str]) -> Verdict:
    return judge(seen, day(), MEMOS, **options)


def test_a_quiet_day_has_no_fault_and_every_memo_its_end() -> None:
    found = verdict(day())
    assert (found.accepted, found.scored, found.dead, found.alerts, found.repeated) == (3, 2, 1, 1, 0)
    assert not any(found.faults.values())


def test_a_score_that_lacked_a_modality_is_replaced_by_the_one_that_came_late() -> None:
    seen = day()
    early = score("one", score_id="early", band="indeterminate", probability=None, reasons=["missing:embedding"])
    seen.scored[0] = score("one", score_id="revision 1")
    seen.scored.insert(0, early)
    assert not any(verdict(seen).faults.values())
    seen.scored.append(score("one", score_id="revision 2"))
    assert verdict(seen).several == ["one"]
    seen.scored[:] = [early, {**early, "score_id": "again"}, score("two")]
    assert verdict(seen).several == ["one"]


def test_what_comes_again_unchanged_is_counted_and_no_fault() -> None:
    seen = day()
    seen.scored.append(score("one"))
    seen.alerts.append(alert("a"))
    seen.dead.append(letter(at=9))
    assert verdict(seen).repeated == 3
    assert not any(verdict(seen).faults.values())


def test_times_and_the_last_digits_may_differ_from_the_quiet_day() -> None:
    seen = day()
    seen.scored[0] = score("one", scored_at=7, probability=0.2500001)
    assert not any(verdict(seen).faults.values())


def test_a_memo_without_an_end_is_lost_even_if_only_the_producer_knows_of_it() -> None:
    seen = day()
    seen.scored.pop()
    assert verdict(seen).lost == {"two"}
    assert judge(day(), day(), {*MEMOS, "four"}).lost == {"four"}


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("several", {"scored": [score("one"), score("two"), score("two", score_id="another")]}),
        ("several", {"scored": [score("one"), score("two"), score("memo-1")]}),
        ("uninvited", {"scored": [score("one"), score("two"), score("nobody's")]}),
        ("contradicting", {"scored": [score("one"), score("two"), score("two", probability=0.26)]}),
        ("contradicting", {"scored": [score("one"), score("two"), score("two", scored_at=2)]}),
        ("contradicting", {"alerts": [alert("a"), alert("a", statistic=4.1)]}),
        ("contradicting", {"dead": [letter(), letter(reason="audio:y")]}),
        ("wrong", {"scored": [score("one"), score("two", probability=0.26)]}),
        ("wrong", {"scored": [score("one"), score("two", evidence=[])]}),
        ("wrong", {"alerts": []}),
        ("wrong", {"alerts": [alert("a"), alert("b")]}),
        ("wrong", {"alerts": [alert("a", baseline={"n": 8, "mean": 0.5})]}),
        ("wrong", {"dead": [letter(reason="audio:y")]}),
    ],
)
def test_every_kind_of_fault_is_found(fault: str, change: dict[str, list[Content]]) -> None:
    seen = deepcopy(day())
    for name, records in change.items():
        setattr(seen, name, records)
    assert verdict(seen).faults[fault] > 0


def test_users_set_apart_are_not_compared_with_the_quiet_day_but_may_not_contradict_themselves() -> None:
    seen = day()
    seen.scored[0] = score("one", probability=0.9)
    assert not any(verdict(seen, apart={"u"}).faults.values())
    seen.scored.append(score("one", probability=0.8))
    assert verdict(seen, apart={"u"}).faults["contradicting"] == 1


def test_a_story_brings_back_what_it_breaks_and_loses_no_memo() -> None:
    plan = Plan(calm=100, waves=3, wave=10, kills=20, freezes=2, broker_restarts=2, redis_restarts=2, cuts=3)
    for seed in range(20):
        scenario = told(plan, session_s=4.0, rng=Random(seed))
        assert sum(step.memos for step in scenario if isinstance(step, Upload)) == 100 + 3 * 10
        assert {step.role for step in scenario if isinstance(step, Kill)} == set(ROLES)
        counts = counted(scenario)
        assert counts["Kill"] == counts["Start"] == 20
        assert counts["Freeze"] == counts["Thaw"] == 2
        assert counts["Cut"] == counts["Mend"] == 3
        assert counts["KillBroker"] + counts["StopBroker"] == counts["StartBroker"] == 2
        assert isinstance(scenario[-1], Settled)
        assert not [step for step in without_faults(scenario) if isinstance(step, Start)]
        assert scenario == told(plan, session_s=4.0, rng=Random(seed))
