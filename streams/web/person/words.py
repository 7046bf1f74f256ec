"""Words for whether and why a memo was not judged, as English messages. Pure."""

from collections.abc import Iterable

from schemas.reasons import CONSENT, MISSING
from streams.views.marks import Judged

_ = str  # marks messages; they are translated where they are shown

JUDGED = {
    Judged.SCORED: _("judged"),
    Judged.UNDECIDED: _("undecided: the score is too near the middle to say anything"),
    Judged.UNUSABLE: _("not judged: the recording cannot be used"),
    Judged.INCOMPLETE: _("not judged: one of the analyses did not arrive"),
    Judged.LEFT_OUT: _("judged, but not followed: left out by context, too late, or of a wrong clock"),
    Judged.FAILED: _("not judged: the memo could not be processed"),
}
REASONS = {
    "quality:no_speech": _("no speech"),
    "quality:too_little_speech": _("too little speech"),
    "quality:too_quiet": _("too quiet"),
    "quality:noisy": _("too noisy"),
    "quality:clipped": _("overdriven"),
    "quality:narrow_band": _("telephone quality"),
    f"{CONSENT}paused": _("the consent is paused: it was not read"),
    f"{CONSENT}withdrawn": _("the consent is withdrawn: it was not read"),
    f"{CONSENT}missing": _("no consent is recorded: it was not read"),
    "features:undefined": _("too little of the voice could be measured"),
    "undecided": _("too near the middle"),
}
OTHER = _("another reason")
MISSING_PART = _("an analysis is missing")


def judged_words(judged: Judged) -> str:
    """Whether a memo was judged, as a message."""
    return JUDGED[judged]


def reason_words(reason: str) -> str:
    """One reason of an abstention, as a message; one of a newer version is `another reason`.

    >>> reason_words("quality:noisy"), reason_words("missing:embedding")
    ('too noisy', 'an analysis is missing')
    """
    return MISSING_PART if reason.startswith(MISSING) else REASONS.get(reason, OTHER)


def reasons_words(reasons: Iterable[str]) -> list[str]:
    """Every different reason, in order, as messages."""
    return list(dict.fromkeys(map(reason_words, reasons)))
