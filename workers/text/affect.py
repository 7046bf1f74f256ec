"""The numbers of a transcript: counts with their exposure, and a few measures of one memo. Pure.

A memo of a minute has about 140 words, in which most rates are noise: so nothing here is a rate of words. Counts and
exposures add up over memos, and `rates.py` makes rates of many. No number shows which words were said.
Rates say little about any one person, and none is specific to depression: first person singular correlates with it at
r = .13 over 21 studies (Edwards & Holtzman 2017, doi:10.1016/j.jrp.2017.02.005), and largely by negative emotionality
(Tackman et al. 2019, doi:10.1037/pspp0000187).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from schemas.events import FloatArray
from workers.text.lexicons import Lexicon, forms, lexicon_of
from workers.text.transcript import Transcript

LEAST_LOG_PROBABILITY = math.log(0.5)
"""A transcript in which characters are less probable is not of the language of its head, or not understood: nothing is
counted in it. A guess: no checkpoint with words was at hand to measure it."""
LEAST_WORDS = 5
"""A transcript of fewer words says too little of whether it was understood: nothing is counted in it. A guess."""
TYPE_TOKEN_WORDS = 50


class Kind(StrEnum):
    """What a number is, and so what may be done with it."""

    COUNT = "count"
    """Adds up over memos; a rate is a sum of counts over a sum of exposures."""
    EXPOSURE = "exposure"
    """Adds up over memos; what counts are among."""
    MEASURE = "measure"
    """Of one memo; does not add up."""


class Reason(StrEnum):
    """Why a number is NaN: `undefined` has `name:reason`."""

    LANGUAGE = "language"
    """There is no lexicon for the memo's language, or the head writes another one."""
    CONFIDENCE = "confidence"
    """The transcript is too improbable."""
    FEW_WORDS = "few_words"
    """The transcript has too few words."""
    NO_SPEECH = "no_speech"
    """There is no time, or no voiced time, to divide by."""


@dataclass(frozen=True, slots=True)
class TextFeature:
    """One number of a memo's text. source: where its definition or its use is published; empty for our own."""

    name: str
    kind: Kind
    unit: str
    definition: str
    source: str = ""


ABSOLUTIST_SOURCE = "Al-Mosaiwi & Johnstone 2018, doi:10.1177/2167702617747074"
FIRST_PERSON_SOURCE = "Edwards & Holtzman 2017, doi:10.1016/j.jrp.2017.02.005"
MATTR_SOURCE = "Covington & McFall 2010, doi:10.1080/09296171003643098"

TEXT_FEATURES = (
    TextFeature("words_exposure", Kind.EXPOSURE, "words", "words of the transcript"),
    TextFeature("duration_s_exposure", Kind.EXPOSURE, "s", "length of the recording's measured part"),
    TextFeature("voiced_s_exposure", Kind.EXPOSURE, "s", "voiced time of that part"),
    TextFeature("filler_count", Kind.COUNT, "words", "sounds of hesitation; heads trained on read speech write few"),
    TextFeature("first_singular_count", Kind.COUNT, "words", "first person singular pronouns", FIRST_PERSON_SOURCE),
    TextFeature("first_plural_count", Kind.COUNT, "words", "first person plural pronouns"),
    TextFeature("absolutist_count", Kind.COUNT, "words", "words of totality, in size or certainty", ABSOLUTIST_SOURCE),
    TextFeature("negation_count", Kind.COUNT, "words", "words and endings that negate"),
    TextFeature("negative_count", Kind.COUNT, "words", "words for unpleasant feelings and states"),
    TextFeature("positive_count", Kind.COUNT, "words", "words for pleasant feelings and states"),
    TextFeature("past_count", Kind.COUNT, "words", "auxiliaries, frequent verbs and adverbs of the past"),
    TextFeature("future_count", Kind.COUNT, "words", "auxiliaries and adverbs of the future"),
    TextFeature("words_per_min", Kind.MEASURE, "1/min", "words over the length of the measured part"),
    TextFeature("words_per_voiced_s", Kind.MEASURE, "1/s", "words over voiced time"),
    TextFeature("gap_mean_s", Kind.MEASURE, "s", "mean time from the end of a word to the next one"),
    TextFeature("gap_longest_s", Kind.MEASURE, "s", "longest time from the end of a word to the next one"),
    TextFeature(
        "type_token_50",
        Kind.MEASURE,
        "share of words",
        "different words among 50 in a row, mean over all such rows",
        MATTR_SOURCE,
    ),
    TextFeature("log_probability", Kind.MEASURE, "nat", "mean log probability of the characters of the transcript"),
)
"""Every number, in the order of `TextFeatures.values`."""
TEXT_NAMES = tuple(feature.name for feature in TEXT_FEATURES)
OF_TIME = ("duration_s_exposure", "voiced_s_exposure", "log_probability")
"""Known also where words are not."""


@dataclass(frozen=True, slots=True, eq=False)
class TextFeatures:
    """The numbers of one memo. values: (TEXT_NAMES,) float32, NaN where `undefined` has `name:reason`."""

    values: FloatArray
    undefined: tuple[str, ...]


def text_features(
    transcript: Transcript, *, duration_s: float, voiced_s: float, language: str | None, head_language: str = "en"
) -> TextFeatures:
    """The numbers of one memo.

    duration_s, voiced_s: of the part that was transcribed; language: BCP 47 tag of the memo, None if unknown: then its
    own probability decides; head_language: that of the recogniser, which hears its own language in every other.
    """
    found: dict[str, float | Reason] = {
        "duration_s_exposure": duration_s,
        "voiced_s_exposure": voiced_s,
        "log_probability": transcript.log_probability if transcript.words else Reason.FEW_WORDS,
    }
    lexicon = lexicon_of(language or head_language)
    reason = _why_not(transcript, lexicon, lexicon_of(head_language))
    if reason is not None or lexicon is None:
        reason = reason or Reason.LANGUAGE
        found |= {name: reason for name in TEXT_NAMES if name not in OF_TIME}
    else:
        found |= _counts(transcript.texts, lexicon) | _measures(transcript, duration_s, voiced_s)
    values = [math.nan if isinstance(found[name], Reason) else float(found[name]) for name in TEXT_NAMES]
    undefined = tuple(f"{name}:{why}" for name in TEXT_NAMES if isinstance(why := found[name], Reason))
    return TextFeatures(np.array(values, np.float32), undefined)


def _why_not(transcript: Transcript, lexicon: Lexicon | None, of_head: Lexicon | None) -> Reason | None:
    """Why the words of a transcript cannot be counted, or None."""
    if lexicon is None or lexicon is not of_head:
        return Reason.LANGUAGE
    if len(transcript.words) < LEAST_WORDS:
        return Reason.FEW_WORDS
    return None if transcript.log_probability >= LEAST_LOG_PROBABILITY else Reason.CONFIDENCE


def _counts(texts: Sequence[str], lexicon: Lexicon) -> dict[str, float | Reason]:
    looked_up = [set(forms(text)) for text in texts]

    def count(listed: frozenset[str]) -> float:
        return float(sum(not listed.isdisjoint(each) for each in looked_up))

    found: dict[str, float | Reason] = {"words_exposure": float(len(texts))}
    for feature in TEXT_FEATURES:
        if feature.kind is Kind.COUNT:
            found[feature.name] = count(getattr(lexicon, feature.name.removesuffix("_count")))
    return found


def _measures(transcript: Transcript, duration_s: float, voiced_s: float) -> dict[str, float | Reason]:
    words = len(transcript.words)
    gaps = [max(after.begin_s - before.end_s, 0.0) for before, after in pairwise(transcript.words)]
    return {
        "words_per_min": 60 * words / duration_s if duration_s > 0 else Reason.NO_SPEECH,
        "words_per_voiced_s": words / voiced_s if voiced_s > 0 else Reason.NO_SPEECH,
        "gap_mean_s": float(np.mean(gaps)),
        "gap_longest_s": max(gaps),
        "type_token_50": type_token(transcript.texts) if words >= TYPE_TOKEN_WORDS else Reason.FEW_WORDS,
    }


def type_token(texts: Sequence[str], window: int = TYPE_TOKEN_WORDS) -> float:
    """Share of different words among `window` in a row, mean over all such rows (moving-average type-token ratio).

    Source: Covington & McFall 2010, doi:10.1080/09296171003643098.

    >>> type_token(["a", "B", "b", "c"], window=2)
    0.8333333333333334
    """
    lower = [text.lower() for text in texts]
    rows = range(len(lower) - window + 1)
    return float(np.mean([len(set(lower[row : row + window])) / window for row in rows]))
