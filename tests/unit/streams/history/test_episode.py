from dataclasses import replace
from itertools import permutations

from schemas.event_enums import CareActionKind, CareOutcome
from schemas.events import AlertState, Severity
from streams.history.episode import made_from
from tests.history import action, alert

STEPS = [alert("anna", 5.0), alert("anna", 3.0, AlertState.ESCALATED), alert("anna", 1.0, AlertState.RESOLVED)]
ACTIONS = [
    action("anna", CareActionKind.ACKNOWLEDGED, 4.0, outcome=CareOutcome.CONTACTED),
    action("anna", CareActionKind.ACKNOWLEDGED, 2.0),
    action("anna", CareActionKind.HANDED_OVER, 3.0, assignee="dr-b"),
]


def test_an_episode_is_the_same_in_whatever_order_it_is_told() -> None:
    made = {made_from(steps, actions) for steps in permutations(STEPS) for actions in permutations(ACTIONS)}
    (episode,) = made
    assert episode is not None
    assert not episode.open
    assert (episode.severity, episode.outcome, episode.assignee) == (Severity.CRITICAL, CareOutcome.CONTACTED, "dr-b")
    assert episode.acknowledged == ACTIONS[1]
    assert episode.summary == STEPS[1].summary


def test_an_episode_without_its_beginning_is_what_is_known_of_it() -> None:
    episode = made_from(STEPS[2:], [])
    assert episode is not None
    assert (episode.opened_at, episode.closed_at) == (STEPS[2].at, STEPS[2].at)
    assert made_from([], ACTIONS) is None


def test_steps_and_actions_of_another_user_are_left_out() -> None:
    episode = made_from([STEPS[0], replace(STEPS[2], user_id="bert")], [replace(ACTIONS[0], user_id="bert")])
    assert episode is not None
    assert (episode.open, episode.steps, episode.actions) == (True, (STEPS[0],), ())
