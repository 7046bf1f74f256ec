"""Markers of the voice as every page names and measures them. Pure."""

from collections.abc import Callable

from babel import Locale

from schemas.markers import MARKER
from streams.web.formats import NOTHING, fixed, number
from streams.web.languages import gettext_noop

NOTABLE_SD = 1.0
"""Standard deviations from the own normal below which a marker is as usual."""
UNITS = {
    "semitones": gettext_noop("semitones"),
    "1/min": gettext_noop("per minute"),
    "1/s": gettext_noop("per second"),
}
"""Units that are words; the others are symbols of the SI or decibels."""


def title_of(name: str) -> str:
    """What a clinician calls a marker, as a message; one of a newer bundle has only its name."""
    return MARKER[name].title if name in MARKER else name.replace("_", " ")


def heard(name: str, deviation_sd: float) -> str:
    """A deviation in words, as a message.

    >>> heard("pause_share", 2.1), heard("pause_share", 0.2), heard("new_marker", -2.0)
    ('longer pauses than usual', 'as usual', 'less than usual')
    """
    if abs(deviation_sd) < NOTABLE_SD:
        return gettext_noop("as usual")
    if name in MARKER:
        return MARKER[name].words(deviation_sd)
    return gettext_noop("more than usual") if deviation_sd > 0 else gettext_noop("less than usual")


def measured(name: str, value: float | None, locale: Locale, translate: Callable[[str], str]) -> str:
    """A value with its unit; a share has none. translate: a message into the language of the locale.

    >>> measured("pause_rate", 12.3, Locale("en", "GB"), str)
    '12 per minute'
    """
    if value is None:
        return NOTHING
    if name not in MARKER:
        return number(value, locale, 3)
    marker = MARKER[name]
    text = fixed(value, locale, marker.decimals)
    return text if marker.unit.startswith("share") else f"{text} {translate(UNITS.get(marker.unit, marker.unit))}"
