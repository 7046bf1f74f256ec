"""The judge of the parade: what it must not overlook."""

from copy import deepcopy
from dataclasses import replace

import pytest

from tests.faults.judge import Content
from tests.faults.parade.judge import MOST_MB, Day, Footprint, Verdict, judge
from tests.faults.parade.topics import Written
from tests.faults.poisons.poison import Found, Letter, Nothing, Scored, Sent
from tests.unit.test_kubernetes import container, pods

GOOD = [("u", "one"), ("v", "one")]
PLACE = ("memos.uploaded", 0, 7)
ROTTEN = Sent("memos.uploaded", b"w", b"", (Letter("event:.*"),), ("w", "rotten"))


def score(user: str, memo: str, **changes: object) -> Content:
    return {
        "score_id": f"{user} {memo}",
        "memo_id": memo,
        "user_id": user,
        "scored_at": 1,
        "probability": 0.5,
    } | changes


def alert(name: str, user: str = "u", **changes: object) -> Content:
    return {"alert_id": name, "user_id": user, "memo_id": f"memo of {name}", "statistic": 4.0, **changes}


def letter(**changes: object) -> Content:
    topic, partition, offset = PLACE
    place = {"topic": topic, "partition": partition, "offset": offset}
    return {"dead_letter_id": "d", "reason": "event:undecodable", **place, **changes}


def day(*, quiet: bool = False) -> Day:
    scores, letters = [score(*memo) for memo in GOOD], [] if quiet else [letter()]
    sent = {} if quiet else {PLACE: ROTTEN}
    return Day(
        Written(scores, [alert("a")], letters),
        sent,
        dict.fromkeys(sent, "rotten"),
        {"a"},
        [],
        1.0,
        Footprint({"agents-0": 300.0}, {"agents": 500}),
    )


def verdict(found: Day) -> Verdict:
    return judge(found, day(quiet=True), GOOD)


def test_a_day_whose_poison_is_one_dead_letter_has_no_fault() -> None:
    found = day()
    found.written.scores.append(score(*GOOD[0], scored_at=2))
    assert verdict(found) == Verdict([], [], [], [], [])
    assert verdict(found).good


@pytest.mark.parametrize(
    ("fault", "kind", "more"),
    [
        ("wrong", "scores", score(*GOOD[0], probability=0.5000001)),
        ("wrong", "alerts", alert("b")),
        ("wrong", "alerts", alert("a", statistic=4.1)),
        ("poisons", "letters", letter(dead_letter_id="another")),
        ("poisons", "scores", score("w", "rotten")),
        ("uninvited", "scores", score("nobody", "none")),
        ("uninvited", "letters", letter(offset=8)),
    ],
)
def test_what_comes_besides_is_a_fault(fault: str, kind: str, more: Content) -> None:
    found = deepcopy(day())
    getattr(found.written, kind).append(more)
    assert getattr(verdict(found), fault)
    assert not verdict(found).good


@pytest.mark.parametrize(("fault", "kind"), [("wrong", "scores"), ("wrong", "alerts"), ("poisons", "letters")])
def test_what_is_lost_is_a_fault(fault: str, kind: str) -> None:
    found = deepcopy(day())
    getattr(found.written, kind).pop()
    assert getattr(verdict(found), fault)


def test_a_good_memo_that_is_scored_on_neither_day_is_a_fault() -> None:
    found, quiet = deepcopy(day()), deepcopy(day(quiet=True))
    for each in (found, quiet):
        each.written.scores.pop()
    assert len(judge(found, quiet, GOOD).wrong) == 1


def test_an_exit_and_an_alert_that_was_not_posted_are_faults() -> None:
    assert verdict(replace(day(), ended=[("agents-0", 1)])).exits == ["agents-0 ended with 1"]
    assert verdict(replace(day(), posted=set())).wrong == ["alert a was not posted"]


@pytest.mark.parametrize(
    "footprint",
    [
        Footprint({"agents-0": 3000.0}, {}),
        Footprint({}, {"agents": 6000}),
        Footprint({}, {}, ["dead-letters list ends with 1"]),
    ],
)
def test_memory_series_and_commands_past_their_limits_are_faults(footprint: Footprint) -> None:
    assert len(verdict(replace(day(), footprint=footprint)).swollen) == 1


def test_memory_limits_are_those_of_the_manifests() -> None:
    limits = {role: container(spec)["resources"]["limits"]["memory"] for role, spec in pods("cpu").items()}
    assert {role: megabytes(limits[role.removesuffix("-0")]) for role in MOST_MB} == MOST_MB


def megabytes(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def test_alerts_of_poisons_are_their_own_matter() -> None:
    found = day()
    found.written.alerts.append(alert("b", user="w"))
    assert verdict(found).good


def test_outcomes_match_what_they_say_and_nothing_else() -> None:
    one, two = Found(("event:undecodable",)), Found(("event:undecodable", "defect:ValueError"))
    scored, both = Found(scores=("s",)), Found(("event:undecodable",), ("s",))
    found = (Found(), one, two, scored, both, Found(scores=("s", "t")))
    assert [each for each in found if Letter("event:.*").matches(each)] == [one]
    assert [each for each in found if Letter("event").matches(each)] == []
    assert [each for each in found if Scored().matches(each)] == [scored]
    assert [each for each in found if Nothing().matches(each)] == [Found()]


def test_a_group_that_something_holds_up_is_a_fault() -> None:
    held = replace(day(), behind=["undertone-agents is at 3 of 9 in memos.dead 0"])
    assert verdict(held).stuck == held.behind
    assert not verdict(held).good
