"""What an operator sees of a user's speaking: their habit, an open silence, and times that are left out. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from schemas.errors import UnreadableState
from streams.context.exclusions import load
from streams.drift.stored_state import from_bytes
from streams.silence.habit import limit_days, usual_days
from streams.silence.quiet import Quiet


@dataclass(frozen=True, slots=True)
class Speaking:
    """A user's habit.

    pauses: how many are known; usual_days: nine of ten are shorter; silent_days: from then on it is a silence, both
    None without a habit; heard_at: the last upload; silent: whether a silence is open.
    """

    pauses: int
    usual_days: float | None
    silent_days: float | None
    heard_at: datetime
    silent: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Memos recorded within this time are left out of the user's normal. until: None without an end."""

    since: datetime
    until: datetime | None


def speaking_of(state: bytes | None, alerts_per_year: float) -> Speaking | None:
    """The habit in the bytes of a drift state; None for a user who was never heard, or whose state cannot be read.

    alerts_per_year: the budget of silence.
    """
    try:
        silence = Quiet() if state is None else from_bytes(state).alerting.silence
    except UnreadableState:
        return None
    if not silence.heard_s:
        return None
    usual, limit = usual_days(silence.pauses), limit_days(silence.pauses, alerts_per_year)
    return Speaking(
        pauses=len(silence.pauses),
        usual_days=usual if isfinite(usual) else None,
        silent_days=limit if isfinite(limit) else None,
        heard_at=datetime.fromtimestamp(silence.heard_s, UTC),
        silent=bool(silence.key),
    )


def left_out_of(state: bytes | None, notes: list[str]) -> tuple[LeftOut, ...]:
    """Times that are left out, oldest first. What cannot be read becomes one of `notes`."""
    try:
        marks = sorted(load(state).values(), key=lambda mark: mark.since_s)
    except UnreadableState as error:
        notes.append(f"the marks cannot be read ({error}); no memo is left out")
        return ()
    return tuple(
        LeftOut(
            datetime.fromtimestamp(mark.since_s, UTC),
            datetime.fromtimestamp(mark.until_s, UTC) if isfinite(mark.until_s) else None,
        )
        for mark in marks
        if mark.until_s > mark.since_s
    )


def speaking_sentence(speaking: Speaking | None) -> str:
    """The habit in a line."""
    if speaking is None:
        return "never heard"
    heard = f"last heard {speaking.heard_at:%Y-%m-%d %H:%M}"
    if speaking.usual_days is None or speaking.silent_days is None:
        return f"{heard}, no habit yet ({speaking.pauses} pauses)"
    habit = f"usually within {speaking.usual_days:.1f} days, a silence from {speaking.silent_days:.1f} days on"
    return f"{heard}, {habit}" + (", silent" if speaking.silent else "")


def left_out_sentence(times: tuple[LeftOut, ...]) -> str:
    """The times in a line."""
    return "; ".join(
        f"from {each.since:%Y-%m-%d %H:%M}" + (f" until {each.until:%Y-%m-%d %H:%M}" if each.until else "")
        for each in times
    )
