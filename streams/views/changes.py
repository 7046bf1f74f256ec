"""Episodes of a user that belong to one change: its drift and its level alert are two kinds of one change. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from schemas.events import AlertState, RiskAlert


class Change(NamedTuple):
    """One change. since: its estimated start; until: when all of its episodes were resolved, None while one is open.

    steps: its alerts by time.
    """

    since: datetime
    until: datetime | None
    steps: tuple[RiskAlert, ...]

    @property
    def label(self) -> str:
        """Its kinds with the day on which each was first alerted."""
        first: dict[str, datetime] = {}
        for step in self.steps:
            first.setdefault(step.kind, step.at)
        return ", ".join(f"{kind} {at:%d %b}" for kind, at in first.items())


def changes(alerts: Iterable[RiskAlert]) -> list[Change]:
    """The changes in one user's alerts, by time; episodes that overlap are of one change."""
    episodes: dict[str, list[RiskAlert]] = {}
    for alert in sorted(alerts, key=lambda alert: (alert.at, alert.kind, alert.alert_id)):
        episodes.setdefault(alert.dedup_key, []).append(alert)
    found: list[Change] = []
    for steps in sorted(episodes.values(), key=lambda steps: steps[0].at):
        change = _change(steps)
        if found and _overlap(found[-1], change):
            both = sorted((*found[-1].steps, *change.steps), key=lambda alert: (alert.at, alert.kind))
            until = None if None in (found[-1].until, change.until) else max(found[-1].until, change.until)  # type: ignore[type-var]
            found[-1] = Change(min(found[-1].since, change.since), until, tuple(both))
        else:
            found.append(change)
    return found


def _change(steps: list[RiskAlert]) -> Change:
    """One episode. An estimated start after its alert, as of a level alert in a new chart, counts as the alert's."""
    until = next((step.at for step in steps if step.state is AlertState.RESOLVED), None)
    return Change(min(steps[0].since, steps[0].at), until, tuple(steps))


def _overlap(earlier: Change, later: Change) -> bool:
    """Whether the later one was alerted before the earlier one was over."""
    return earlier.until is None or later.steps[0].at <= earlier.until
