"""The reasons for which a score abstains, as one table. Metrics name these and count any other as `other`.

Reasons travel in records, and whoever writes a record may write any: as label values they would each be a series.
"""

from collections.abc import Mapping

from schemas.events import Modality

CONSENT = "consent:"
"""Start of the reason that a memo was not read; what was said, or `missing`, follows."""

OTHER = "other"
"""Label value of a reason that is not in the table, such as one of a newer version."""

MISSING = "missing:"
"""Start of the reason that a modality is missing; its name follows."""

ABSTENTIONS: Mapping[str, str] = {
    "quality:no_speech": "No speech was found.",
    "quality:too_little_speech": "Less speech than UNDERTONE_MIN_SPEECH_S.",
    "quality:too_quiet": "The speech is too quiet for the resolution of its samples.",
    "quality:noisy": "The SNR is below UNDERTONE_MIN_SNR_DB.",
    "quality:clipped": "More samples are clipped than UNDERTONE_MAX_CLIPPED.",
    "quality:narrow_band": "The bandwidth is below UNDERTONE_MIN_BANDWIDTH_HZ.",
    f"{CONSENT}paused": "The consent is paused: the memo was not read.",
    f"{CONSENT}withdrawn": "The consent is withdrawn: the memo was not read.",
    f"{CONSENT}missing": "No consent is recorded, and UNDERTONE_CONSENT requires one: the memo was not read.",
    "features:undefined": "Too few of the features that the bundle scores are defined.",
    "undecided": "The probability is within the bundle's undecided band.",
    **{f"{MISSING}{modality}": f"The modality {modality} is missing." for modality in Modality},
}
"""Every reason of this version, and its meaning."""


def label_of(reason: str) -> str:
    """The reason as a label value: itself when it is in the table.

    >>> label_of("quality:noisy"), label_of("anything else")
    ('quality:noisy', 'other')
    """
    return reason if reason in ABSTENTIONS else OTHER
