"""Episodes as Alertmanager alerts: each fires and resolves, and constant labels identify it.

Steps of an episode arrive in order, possibly more than once and possibly again from the start; an episode only moves
forward from raised through escalated to resolved.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.events import AlertKind, AlertState, Band, RiskAlert, ScorePoint
from schemas.json_records import Json, to_plain
from streams.notify.links import episode_link
from streams.reasons.phrases import caution, evidence_said, said

HOLD = timedelta(days=100)
"""How long Alertmanager keeps an open episode firing without a repost; no episode lasts so long."""

_ORDER = (AlertState.RAISED, AlertState.ESCALATED, AlertState.RESOLVED)
_NAMES = {
    AlertKind.DRIFT: "UndertoneRiskDrift",
    AlertKind.LEVEL: "UndertoneRiskLevel",
    AlertKind.SILENCE: "UndertoneSilence",
}


@dataclass(frozen=True, slots=True)
class Episode:
    """The steps of an episode so far. began: recording time of its first step seen; last: its newest step."""

    began: datetime
    last: RiskAlert

    @property
    def is_open(self) -> bool:
        """Whether it was raised and is not resolved."""
        return self.last.state is not AlertState.RESOLVED


def advanced(known: Episode | None, step: RiskAlert) -> Episode | None:
    """The episode after one more step; None when the step is not new."""
    if known is None:
        return Episode(step.at, step)
    if _ORDER.index(step.state) <= _ORDER.index(known.last.state):
        return None
    return Episode(known.began, step)


def as_posted(episode: Episode, now: datetime, dashboard: str | None = None) -> dict[str, Json]:
    """The episode as an alert of Alertmanager's v2 API. dashboard: its address, for the link to the episode.

    Labels identify the episode and are the same for all its steps, or Alertmanager would treat a step as another alert.
    The pseudonym is in an annotation: labels appear in group keys, silences, URLs and logs.
    """
    step = episode.last
    ends = now + HOLD if episode.is_open else min(step.at, now)
    link = episode_link(dashboard, step.dedup_key)
    linked: dict[str, Json] = {} if link is None else {"generatorURL": link}
    return {
        "labels": {
            "alertname": _NAMES.get(step.kind, "UndertoneRisk"),
            "service": "undertone",
            "kind": str(step.kind),
            "episode": step.dedup_key,
        },
        "annotations": _annotations(step) | ({} if link is None else {"dashboard": link}),
        "startsAt": to_plain(min(episode.began, ends)),
        "endsAt": to_plain(ends),
        **linked,
    }


def _annotations(step: RiskAlert) -> dict[str, Json]:
    return {
        "summary": f"{step.user_id}: {said(step)}",
        "description": caution(step.bundle_id),
        "user": step.user_id,
        "state": str(step.state),
        "severity": str(step.severity),
        "statistic": f"{step.statistic:.2f}",
        "threshold": f"{step.threshold:.2f}",
        "since": str(to_plain(step.since)),
        "at": str(to_plain(step.at)),
        "bundle": step.bundle_id,
        **({"evidence": markers} if (markers := evidence_said(step.evidence, len(step.evidence))) else {}),
        **({"scores": " ".join(map(_score, step.scores))} if step.scores else {}),
    }


def _score(point: ScorePoint) -> str:
    """A probability of two digits; `-` for a memo that was not judged."""
    judged = point.band is not Band.INDETERMINATE and point.probability is not None
    return f"{point.probability:.2f}" if judged else "-"
