"""One sentence about a step of an episode, from a table of phrases. Pure.

It says what is heard, for how long, and the value next to the person's own normal; never what it may mean. Every phrase
goes through `translate`, so a page says it in its reader's language.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from schemas.events import AlertEvidence, AlertKind, AlertState, RiskAlert
from schemas.markers import MARKER, MARKERS

LEAST_SD = 1.0
"""A marker closer than this to the person's own normal is not named: it varies as much from memo to memo."""
DAY_S = 86400.0

Translate: TypeAlias = Callable[[str], str]


def _plain(name: str, value: float) -> str:
    known = MARKER.get(name)
    return f"{value:.3g}" if known is None else known.shown(value)


@dataclass(frozen=True, slots=True)
class Figures:
    """How numbers are written. value: of the marker of this name, with its unit; number: one digit behind the point."""

    value: Callable[[str, float], str] = _plain
    number: Callable[[float], str] = "{:.1f}".format


PLAIN = Figures()
"""As in English."""

ONE_DAY, DAYS = "1 day", "{days} days"
SPEAKS = "speaks with {words} for {length}: {values}"
GROWN = "the change has grown: {sentence}"
MOVED = "scores have moved away from this person's own past for {length}"
INCONSPICUOUS = "; every marker of the voice is about as usual"
FRAGILE = "; noise or a narrow band of the recordings may cause this"
HIGH = "most recent scores are in the high band, for {length}"
HIGH_AND = "most recent scores are in the high band, for {length}; speaks with {words}: {values}"
AS_USUAL = "speaks as usual again, after {length} with {words}: {values}"
BACK = "scores are back to this person's own past, after {length}"
SETTLED = "the change has lasted {length} and counts as usual from now on"
FEW_HIGH = "few recent scores are in the high band again, after {length}"
SILENT = "no memo for {length}, longer than usual for this person"
SPEAKS_AGAIN = "speaks again, after {length} without a memo"
NEWER = "a rule of a newer Undertone has fired"
NEWER_OVER = "a rule of a newer Undertone had fired and is over"
USUALLY = "{title} {value}, usually {usual}"
ABOVE, BELOW = "{title} {value}, {sd} SD above usual", "{title} {value}, {sd} SD below usual"
UNUSUAL = "an unusual {name}"

PHRASES = (
    ONE_DAY, DAYS, SPEAKS, GROWN, MOVED, INCONSPICUOUS, FRAGILE, HIGH, HIGH_AND, AS_USUAL, BACK, SETTLED,
    FEW_HIGH, SILENT, SPEAKS_AGAIN, NEWER, NEWER_OVER, USUALLY, ABOVE, BELOW, UNUSUAL,
    *(text for marker in MARKERS for text in (marker.title, marker.more, marker.less)),
)  # fmt: skip
"""Everything that `translate` is asked for: what a catalogue of messages must hold."""


def summary_of(alert: RiskAlert, translate: Translate = str, figures: Figures = PLAIN) -> str:
    """The sentence about this step, without a full stop. It uses the step's figures and evidence, never its summary."""
    length = duration((alert.at - alert.since).total_seconds() / DAY_S, translate)
    marker = telling(alert.evidence)
    match alert.kind:
        case AlertKind.DRIFT:
            return _drift(alert, marker, length, translate, figures)
        case AlertKind.LEVEL:
            return _level(alert, marker, length, translate, figures)
        case AlertKind.SILENCE:
            over = alert.state is AlertState.RESOLVED
            return translate(SPEAKS_AGAIN if over else SILENT).format(length=duration(alert.statistic, translate))
    return translate(NEWER_OVER if alert.state is AlertState.RESOLVED else NEWER)


def telling(evidence: Sequence[AlertEvidence]) -> AlertEvidence | None:
    """The marker that a sentence names: the first one away from usual that raised the scores, else the first one away.

    None when every marker is about as usual.
    """
    away = [each for each in evidence if abs(each.deviation_sd) >= LEAST_SD]
    raising = [each for each in away if each.contribution is None or each.contribution > 0]
    return next(iter([each for each in raising if not each.fragile] or raising or away), None)


def duration(days: float, translate: Translate = str) -> str:
    """A length of time in whole days, at least one.

    >>> duration(8.6), duration(0.2)
    ('9 days', '1 day')
    """
    whole = max(1, round(days))
    return translate(ONE_DAY) if whole == 1 else translate(DAYS).format(days=whole)


def heard(marker: AlertEvidence, translate: Translate = str) -> str:
    """What is heard of a marker.

    >>> heard(AlertEvidence("pause_share", 0.41, 0.22, 2.3))
    'longer pauses than usual'
    """
    known = MARKER.get(marker.name)
    return translate(UNUSUAL).format(name=marker.name) if known is None else translate(known.words(marker.deviation_sd))


def values(marker: AlertEvidence, translate: Translate = str, figures: Figures = PLAIN) -> str:
    """A marker's value and the person's own normal, or the distance from it where that is not known.

    >>> values(AlertEvidence("pause_share", 0.41, 0.22, 2.3)), values(AlertEvidence("pause_share", 0.41, None, 2.3))
    ('pause share 0.41, usually 0.22', 'pause share 0.41, 2.3 SD above usual')
    """
    known = MARKER.get(marker.name)
    title = marker.name if known is None else translate(known.title)
    value = figures.value(marker.name, marker.value)
    if marker.usual is not None:
        return translate(USUALLY).format(title=title, value=value, usual=figures.value(marker.name, marker.usual))
    phrase = translate(BELOW if marker.deviation_sd < 0 else ABOVE)
    return phrase.format(title=title, value=value, sd=figures.number(abs(marker.deviation_sd)))


def _drift(alert: RiskAlert, marker: AlertEvidence | None, length: str, translate: Translate, figures: Figures) -> str:
    if alert.state is AlertState.RESOLVED:
        if alert.statistic <= alert.threshold:
            return translate(SETTLED).format(length=length)
        return _filled(BACK if marker is None else AS_USUAL, marker, length, translate, figures)
    if marker is None:
        sentence = translate(MOVED).format(length=length) + (translate(INCONSPICUOUS) if alert.evidence else "")
    else:
        sentence = _filled(SPEAKS, marker, length, translate, figures) + _doubt(marker, translate)
    return translate(GROWN).format(sentence=sentence) if alert.state is AlertState.ESCALATED else sentence


def _level(alert: RiskAlert, marker: AlertEvidence | None, length: str, translate: Translate, figures: Figures) -> str:
    if alert.state is AlertState.RESOLVED:
        return translate(FEW_HIGH).format(length=length)
    if marker is None:
        return translate(HIGH).format(length=length)
    return _filled(HIGH_AND, marker, length, translate, figures) + _doubt(marker, translate)


def _filled(phrase: str, marker: AlertEvidence | None, length: str, translate: Translate, figures: Figures) -> str:
    if marker is None:
        return translate(phrase).format(length=length)
    shown = values(marker, translate, figures)
    return translate(phrase).format(length=length, words=heard(marker, translate), values=shown)


def _doubt(marker: AlertEvidence, translate: Translate) -> str:
    return translate(FRAGILE) if marker.fragile else ""
