"""What Redis and SQL have of a person: as JSON, and in words. Pure."""

from collections.abc import Iterator
from dataclasses import fields

from schemas.errors import UnreadableState
from schemas.json_records import Json, to_plain
from schemas.state_keys import BASELINE
from streams.fusion.baseline import BaselineState
from streams.history.person import Person
from streams.views.export.holdings import Holdings
from streams.views.user_lines import lines_of

ELSEWHERE = {"scores", "dead_letters"}
"""Fields of the view that are records, which have files of their own."""


def state_json(held: Holdings) -> dict[str, Json]:
    """What Redis has. baseline_numbers: the person's normal of each feature, in the order of the model's features."""
    now = {each.name: to_plain(getattr(held.view, each.name)) for each in fields(held.view)}
    return {
        "now": {name: value for name, value in now.items() if name not in ELSEWHERE},
        "baseline_numbers": _numbers(held),
        "mutes": to_plain(held.mutes),
    }


def history_json(held: Holdings) -> Json:
    """What SQL has; null where there is no database."""
    return to_plain(held.history)


def state_lines(held: Holdings) -> Iterator[tuple[str, str]]:
    """What Redis and SQL say, in words, by heading."""
    yield from lines_of(held.view)
    yield "mutes, with ended ones", "; ".join(f"until {mute.until:%Y-%m-%d %H:%M}" for mute in held.mutes) or "none"
    history = held.history
    if history is None:
        yield "database", "there is none on this system"
        return
    if history.person is not None:
        yield from _row(history.person)
    counts = f"{len(history.scores)} scores, {len(history.episodes)} episodes, {len(history.actions)} actions of staff"
    yield "database", counts
    yield "marks", "; ".join(f"{mark.kind} from {mark.since:%Y-%m-%d}" for mark in history.marks) or "none"


def _row(person: Person) -> Iterator[tuple[str, str]]:
    row = person.row
    yield "group", person.cohort or "none"
    yield "shown to staff as", f"{row.attention} since {row.attention_since:%Y-%m-%d %H:%M}"
    if person.first_memo_at is not None:
        yield "first memo in the database", f"{person.first_memo_at:%Y-%m-%d %H:%M}"
    if person.usual_gap_days is not None:
        yield "usually between two memos", f"{person.usual_gap_days:.1f} days"


def _numbers(held: Holdings) -> Json:
    """The stored normal, which the view only counts; None without one, or where it cannot be read."""
    data = held.known.state.get(BASELINE.key(held.user_id))
    if data is None:
        return None
    try:
        stored = BaselineState.from_bytes(data)
    except UnreadableState:
        return None  # a note of the view says so
    numbers = {name: to_plain(getattr(stored.normal, name)) for name in ("count", "mean", "variance")}
    return {"bundle_id": stored.bundle_id, **numbers}
