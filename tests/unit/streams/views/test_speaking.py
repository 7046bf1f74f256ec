"""How a user's speaking is shown: habit, open silence, times that are left out."""

from datetime import UTC, datetime, timedelta
from math import inf

from streams.context.exclusions import Exclusion, dump
from streams.drift.episodes import Alerting
from streams.drift.user_state import User, pack
from streams.silence.quiet import DAY_S, Quiet, heard, opened
from streams.views.speaking import LeftOut, left_out_of, left_out_sentence, speaking_of, speaking_sentence

START = datetime(2026, 5, 1, 8, tzinfo=UTC)


def state_after(days: int, *, silent: bool = False) -> bytes:
    quiet = Quiet()
    for day in range(days):
        at_s = START.timestamp() + day * DAY_S
        quiet = heard(quiet, f"m{day}", at_s, at_s, 0.5, 0.0)
    return pack(User(alerting=Alerting(silence=opened(quiet, "anna") if silent else quiet)))


def test_a_habit_is_said_in_days() -> None:
    speaking = speaking_of(state_after(40), 0.5)
    assert speaking is not None
    assert (speaking.pauses, speaking.heard_at) == (39, START + timedelta(days=39))
    sentence = "last heard 2026-06-09 08:00, usually within 1.0 days, a silence from 4.5 days on"
    assert speaking_sentence(speaking) == sentence
    assert speaking_sentence(speaking_of(state_after(40, silent=True), 0.5)) == sentence + ", silent"


def test_without_a_habit_none_is_made_up() -> None:
    assert speaking_sentence(speaking_of(state_after(4), 0.5)) == "last heard 2026-05-04 08:00, no habit yet (3 pauses)"
    assert speaking_of(None, 0.5) is None
    assert speaking_of(pack(User()), 0.5) is None
    assert speaking_of(b"damaged", 0.5) is None
    assert speaking_sentence(None) == "never heard"


def test_times_that_are_left_out_are_listed_oldest_first_without_those_taken_back() -> None:
    start_s, notes = START.timestamp(), list[str]()
    marks = {
        "later": Exclusion(start_s, start_s + 9 * DAY_S, inf),
        "cold": Exclusion(start_s, start_s, start_s + DAY_S),
        "back": Exclusion(start_s, start_s, start_s),
    }
    found = left_out_of(dump(marks), notes)
    assert found == (LeftOut(START, START + timedelta(days=1)), LeftOut(START + timedelta(days=9), None))
    assert left_out_sentence(found) == "from 2026-05-01 08:00 until 2026-05-02 08:00; from 2026-05-10 08:00"
    assert notes == []


def test_marks_that_cannot_be_read_are_a_note() -> None:
    notes: list[str] = []
    assert left_out_of(b"\x01damaged", notes) == ()
    assert len(notes) == 1
