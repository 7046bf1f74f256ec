"""Episodes as an alerting system sees them: one thing that fires and is over, told apart by labels that never change.

Steps of an episode come in order, perhaps more than once and perhaps again from the start; an episode only ever moves
from raised over escalated to resolved.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.events import AlertKind, AlertState, RiskAlert
from schemas.json_records import Json, to_plain
from streams.notify.phrases import caution, finding

HOLD = timedelta(days=100)
"""How long Alertmanager keeps an open episode firing when nobody posts it again; no episode lasts so long."""

_ORDER = (AlertState.RAISED, AlertState.ESCALATED, AlertState.RESOLVED)
_NAMES = {AlertKind.DRIFT: "UndertoneRiskDrift", AlertKind.LEVEL: "UndertoneRiskLevel"}


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode as far as it is known. began: recording time of its first step seen; last: its newest step."""

    began: datetime
    last: RiskAlert

    @property
    def is_open(self) -> bool:
        """Whether it was raised and is not resolved."""
        return self.last.state is not AlertState.RESOLVED


def advanced(known: Episode | None, step: RiskAlert) -> Episode | None:
    """The episode after one more step; None when the step says nothing new."""
    if known is None:
        return Episode(step.at, step)
    if _ORDER.index(step.state) <= _ORDER.index(known.last.state):
        return None
    return Episode(known.began, step)


def as_posted(episode: Episode, now: datetime) -> dict[str, Json]:
    """The episode as an alert of Alertmanager's v2 API.

    Labels name the episode and are the same for all its steps, or Alertmanager would take a step for another alert.
    The pseudonym stands in an annotation: labels travel on into group keys, silences, URLs and logs.
    """
    step = episode.last
    ends = now + HOLD if episode.is_open else min(step.at, now)
    return {
        "labels": {
            "alertname": _NAMES.get(step.kind, "UndertoneRisk"),
            "service": "undertone",
            "kind": str(step.kind),
            "episode": step.dedup_key,
        },
        "annotations": _annotations(step),
        "startsAt": to_plain(min(episode.began, ends)),
        "endsAt": to_plain(ends),
    }


def _annotations(step: RiskAlert) -> dict[str, Json]:
    return {
        "summary": f"{step.user_id}: {finding(step.kind)}",
        "description": caution(step.bundle_id),
        "user": step.user_id,
        "state": str(step.state),
        "severity": str(step.severity),
        "statistic": f"{step.statistic:.2f}",
        "threshold": f"{step.threshold:.2f}",
        "since": str(to_plain(step.since)),
        "at": str(to_plain(step.at)),
        "bundle": step.bundle_id,
    }
