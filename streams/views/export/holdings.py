"""Everything that is held of one person, from topics, Redis and SQL together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from schemas.errors import UnreadableState
from schemas.events import CareAction, RiskAlert, RiskScored
from schemas.state_keys import MUTES
from schemas.topics import ALERTS, CARE, SCORED
from streams.drift.mutes import Mute, Scope, load
from streams.history.care import Mark
from streams.history.episode import Episode
from streams.history.person import Person, ScoreRow
from streams.views.scores import latest_of_memos
from streams.views.user import Known, UserView


@dataclass(frozen=True, slots=True)
class History:
    """What SQL has of a person. person: the row of the caseload, None without one; the others are oldest first."""

    person: Person | None
    scores: tuple[ScoreRow, ...]
    episodes: tuple[Episode, ...]
    actions: tuple[CareAction, ...]
    marks: tuple[Mark, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing of the person is there."""
        return not (self.person or self.scores or self.episodes or self.actions)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held of a person at one moment.

    records: what the topics still have, by name of the topic; known, view: what was read of Redis, and what it says;
    history: None where no database is kept.
    """

    user_id: str
    at: datetime
    records: Mapping[str, Sequence[Any]]
    known: Known
    view: UserView
    history: History | None

    @property
    def empty(self) -> bool:
        """Whether nothing is held of the person; the mute of a cohort says nothing about anybody in it."""
        in_history = self.history is not None and not self.history.empty
        state = any(value is not None for key, value in self.known.state.items() if key != MUTES.key())
        return not (any(self.records.values()) or in_history or state or self.known.joins or self.mutes)

    @property
    def scores(self) -> list[RiskScored]:
        """The last score of each memo, newest first. The topic drops old ones, which SQL may still have."""
        stored = () if self.history is None else self.history.scores
        return latest_of_memos([*(scored(self.user_id, row) for row in stored), *self.records[SCORED.name]])

    @property
    def steps(self) -> list[RiskAlert]:
        """Every step of every episode once, oldest first."""
        stored = () if self.history is None else self.history.episodes
        steps = [step for episode in stored for step in episode.steps]
        found = {step.alert_id: step for step in (*steps, *self.records[ALERTS.name])}
        return sorted(found.values(), key=lambda step: (step.at, step.alert_id))

    @property
    def actions(self) -> list[CareAction]:
        """What people did, each once, oldest first."""
        stored = () if self.history is None else self.history.actions
        found = {action.action_id: action for action in (*stored, *self.records[CARE.name])}
        return sorted(found.values(), key=lambda action: (action.at, action.action_id))

    @property
    def mutes(self) -> list[Mute]:
        """The person's own mutes, ended ones as well. Those of others lie in the same value, and stay out."""
        try:
            every = load(self.known.state.get(MUTES.key()))
        except UnreadableState:
            return []  # a note of the view says so
        return [mute for mute in every if mute.scope is Scope.USER and mute.name == self.user_id]


def scored(user_id: str, row: ScoreRow) -> RiskScored:
    """A row of SQL as the record that it was made from."""
    return RiskScored(user_id=user_id, **{each.name: getattr(row, each.name) for each in fields(row)})
