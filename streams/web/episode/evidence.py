"""Why an episode was raised: what is heard, how far from usual, how much it counts, in words of one language. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.events import AlertEvidence
from schemas.markers import MARKER
from streams.web.formats import NOTHING, fixed, number, signed
from streams.web.languages import Language, gettext_noop

ONE_SD = 1.0
"""Standard deviations from a person's own normal within which a marker is as usual."""
HARDLY, SOMEWHAT, STRONGLY = 0.05, 0.25, 0.75
"""Contributions, as changes of the score's logit: below the first one a marker hardly counts; an even chance becomes
56 % by the second one, and 68 % by the third."""
UNITS = {
    "semitones": gettext_noop("semitones"),
    "1/min": gettext_noop("per minute"),
    "1/s": gettext_noop("per second"),
}
"""Units that are words; the others are symbols of the SI or decibels."""
_RAISES = (
    gettext_noop("raises the score a little"),
    gettext_noop("raises the score"),
    gettext_noop("raises the score strongly"),
)
_LOWERS = (
    gettext_noop("lowers the score a little"),
    gettext_noop("lowers the score"),
    gettext_noop("lowers the score strongly"),
)


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One marker. value and usual: with their unit; heard: against the person's own normal; effect: on the score."""

    title: str
    heard: str
    value: str
    usual: str
    deviation: str
    effect: str
    contribution: str
    fragile: bool
    raises: bool


def evidence_views(evidence: Sequence[AlertEvidence], language: Language) -> list[EvidenceView]:
    """The evidence in its order."""
    return [_view(each, language) for each in evidence]


def _view(each: AlertEvidence, language: Language) -> EvidenceView:
    contribution = each.contribution
    return EvidenceView(
        title=title(each.name, language),
        heard=heard(each.name, each.deviation_sd, language),
        value=measured(each.name, each.value, language),
        usual=measured(each.name, each.usual, language),
        deviation=signed(each.deviation_sd, language.locale),
        effect=effect(contribution, language),
        contribution=signed(contribution, language.locale, 2),
        fragile=each.fragile,
        raises=contribution is not None and contribution > HARDLY,
    )


def title(name: str, language: Language) -> str:
    """What a clinician calls a marker; one of a newer bundle has only its name."""
    return language.gettext(MARKER[name].title) if name in MARKER else name.replace("_", " ")


def heard(name: str, deviation_sd: float, language: Language) -> str:
    """A deviation in words."""
    if abs(deviation_sd) < ONE_SD:
        return language.gettext("about as usual")
    if name in MARKER:
        return language.gettext(MARKER[name].words(deviation_sd))
    return language.gettext("more than usual") if deviation_sd > 0 else language.gettext("less than usual")


def measured(name: str, value: float | None, language: Language) -> str:
    """A value with its unit."""
    if value is None:
        return NOTHING
    if name not in MARKER:
        return number(value, language.locale, 3)
    marker = MARKER[name]
    text = fixed(value, language.locale, marker.decimals)
    return (
        text if marker.unit.startswith("share") else f"{text} {language.gettext(UNITS.get(marker.unit, marker.unit))}"
    )


def effect(contribution: float | None, language: Language) -> str:
    """What a marker adds to the score, in words."""
    if contribution is None:
        return language.gettext("not known")
    size = abs(contribution)
    if size < HARDLY:
        return language.gettext("hardly moves the score")
    return language.gettext((_RAISES if contribution > 0 else _LOWERS)[(size >= SOMEWHAT) + (size >= STRONGLY)])
