"""Scores as a person reads them: one of each memo, newest first, in a few words. Pure."""

from collections.abc import Iterable

from schemas.events import AlertEvidence, Evidence, RiskScored

SHOWN_MARKERS = 2
"""Markers of the evidence in a line; JSON has all of it."""


def latest_of_memos(scores: Iterable[RiskScored]) -> list[RiskScored]:
    """The last score of each memo, by when it was scored, newest first. scores: in the order of their topic."""
    last = {(score.user_id, score.memo_id): score for score in scores}
    return sorted(last.values(), key=lambda score: (score.scored_at, score.recorded_at, score.memo_id), reverse=True)


def probability_text(score: RiskScored) -> str:
    """The probability with two digits, `-` without one."""
    return "-" if score.probability is None else f"{score.probability:.2f}"


def evidence_text(score: RiskScored, most: int = SHOWN_MARKERS) -> str:
    """The strongest markers: what each adds to the logit, where known, and its distance from the baseline in SDs."""
    return ", ".join(map(marker_text, score.evidence[:most]))


def marker_text(evidence: Evidence | AlertEvidence) -> str:
    """A marker with what it adds to the logit, where known, and its distance from the baseline in SDs."""
    if evidence.contribution is None:
        return f"{evidence.name} {evidence.deviation_sd:+.1f} SD"
    return f"{evidence.name} {evidence.contribution:+.2f} ({evidence.deviation_sd:+.1f} SD)"


def sentence(score: RiskScored) -> str:
    """One score in a line; everything in it may come from outside, so escape it before it is shown."""
    reasons = f" ({', '.join(score.reasons)})" if score.reasons else ""
    evidence = f", {text}" if (text := evidence_text(score)) else ""
    return (
        f"{score.recorded_at:%Y-%m-%d %H:%M} user={score.user_id} {score.band}{reasons} "
        f"probability={probability_text(score)}{evidence}"
    )
