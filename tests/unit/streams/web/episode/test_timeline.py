"""What happened in an episode, in order and in words."""

from datetime import timedelta

from schemas.event_enums import CareActionKind, CareOutcome
from schemas.events import AlertState
from streams.web.episode.timeline import DONE, done_words, entries
from streams.web.languages import languages
from tests.history import NOW, action, alert

ENGLISH, GERMAN = languages()["en"], languages()["de"]


def test_steps_and_actions_are_one_story_in_order() -> None:
    steps = [alert("u", 1, AlertState.RESOLVED), alert("u", 4)]
    done = [
        action("u", CareActionKind.HANDED_OVER, 2, assignee="dr-b"),
        action("u", CareActionKind.ACKNOWLEDGED, 3, outcome=CareOutcome.CONTACTED, note="called"),
        action("u", CareActionKind.NOTED, 4),
    ]
    told = entries(steps, done, ENGLISH)
    assert [entry.who for entry in told] == [None, "dr-a", "dr-a", "dr-a", None]
    assert [entry.what.split(":")[0] for entry in told] == [
        "Raised", "Wrote a note", "Acknowledged", "Handed over to dr-b", "Over"
    ]  # fmt: skip
    assert told[2].what == "Acknowledged: The person was contacted"
    assert told[2].note == "called"


def test_every_kind_of_action_has_words_in_both_languages() -> None:
    for kind in CareActionKind:
        done = action("u", kind, outcome=CareOutcome.UNKNOWN, assignee="dr-b", until=NOW + timedelta(days=1))
        assert done_words(done, ENGLISH) != done_words(done, GERMAN)
    told = {CareActionKind.ACKNOWLEDGED, CareActionKind.HANDED_OVER, CareActionKind.MUTED}
    assert set(DONE) | told == set(CareActionKind)


def test_a_mute_says_until_when() -> None:
    until = NOW + timedelta(days=3)
    (entry,) = entries([], [action("u", CareActionKind.MUTED, until=until)], GERMAN)
    assert (entry.what, entry.until) == ("Meldungen dieser Person stumm geschaltet", until)
