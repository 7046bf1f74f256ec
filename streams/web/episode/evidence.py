"""Why an episode was raised: what is heard, how far from usual, how much it counts, in words of one language. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.events import AlertEvidence
from streams.web.formats import signed
from streams.web.languages import Language, gettext_noop
from streams.web.markers import heard, measured, title_of

HARDLY, SOMEWHAT, STRONGLY = 0.05, 0.25, 0.75
"""Contributions, as changes of the score's logit: below the first one a marker hardly counts; an even chance becomes
56 % by the second one, and 68 % by the third."""
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


def evidence_views(evidence: Sequence[AlertEvidence], language: Language) -> list[EvidenceView]:
    """The evidence in its order."""
    return [_view(each, language) for each in evidence]


def _view(each: AlertEvidence, language: Language) -> EvidenceView:
    contribution = each.contribution
    return EvidenceView(
        title=language.gettext(title_of(each.name)),
        heard=language.gettext(heard(each.name, each.deviation_sd)),
        value=measured(each.name, each.value, language.locale, language.gettext),
        usual=measured(each.name, each.usual, language.locale, language.gettext),
        deviation=signed(each.deviation_sd, language.locale),
        effect=effect(contribution, language),
        contribution=signed(contribution, language.locale, 2),
        fragile=each.fragile,
    )


def effect(contribution: float | None, language: Language) -> str:
    """What a marker adds to the score, in words."""
    if contribution is None:
        return language.gettext("not known")
    size = abs(contribution)
    if size < HARDLY:
        return language.gettext("hardly moves the score")
    return language.gettext((_RAISES if contribution > 0 else _LOWERS)[(size >= SOMEWHAT) + (size >= STRONGLY)])
