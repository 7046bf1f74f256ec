import math
from dataclasses import fields

import numpy as np
import pytest

from workers.text.affect import OF_TIME, TEXT_FEATURES, TEXT_NAMES, Kind, TextFeatures, text_features, type_token
from workers.text.lexicons import Lexicon
from workers.text.transcript import Transcript, Word

MEMO = "I never slept um and we didn't go so I'll be hopeless or happy"


def spoken(text: str, log_probability: float = -0.1) -> Transcript:
    """A word each half second, 0.3 s long."""
    words = (Word(each, 0.5 * at, 0.5 * at + 0.3, log_probability) for at, each in enumerate(text.split()))
    return Transcript(tuple(words), log_probability)


def measured(transcript: Transcript, language: str | None = "en-GB", voiced_s: float = 4.0) -> TextFeatures:
    return text_features(transcript, duration_s=10.0, voiced_s=voiced_s, language=language)


def named(features: TextFeatures) -> dict[str, float]:
    return dict(zip(TEXT_NAMES, features.values.tolist(), strict=True))


def test_counts_are_of_words_and_exposures_beside_them() -> None:
    features = measured(spoken(MEMO))
    values = named(features)
    assert {name: value for name, value in values.items() if name.endswith(("_count", "_exposure"))} == {
        "words_exposure": 14,
        "duration_s_exposure": 10,
        "voiced_s_exposure": 4,
        "filler_count": 1,
        "first_singular_count": 2,
        "first_plural_count": 1,
        "absolutist_count": 1,
        "negation_count": 2,
        "negative_count": 1,
        "positive_count": 1,
        "past_count": 1,
        "future_count": 1,
    }
    assert values["words_per_min"] == 84
    assert values["words_per_voiced_s"] == 3.5
    assert values["gap_mean_s"] == pytest.approx(0.2)
    assert values["gap_longest_s"] == pytest.approx(0.2)
    assert values["log_probability"] == pytest.approx(-0.1)
    assert features.undefined == ("type_token_50:few_words",)


def test_counts_and_exposures_of_two_memos_add_up_to_those_of_both() -> None:
    both = named(measured(spoken(f"{MEMO} {MEMO}")))
    one = named(measured(spoken(MEMO)))
    for feature in TEXT_FEATURES:
        if feature.kind is Kind.COUNT or feature.name == "words_exposure":
            assert both[feature.name] == 2 * one[feature.name]


def test_names_say_what_a_number_is_and_every_category_has_its_count() -> None:
    for feature in TEXT_FEATURES:
        assert feature.unit
        assert feature.definition
        assert feature.name.endswith("_count") == (feature.kind is Kind.COUNT)
        assert feature.name.endswith("_exposure") == (feature.kind is Kind.EXPOSURE)
    counts = {feature.name for feature in TEXT_FEATURES if feature.kind is Kind.COUNT}
    assert counts == {f"{each.name}_count" for each in fields(Lexicon)}


@pytest.mark.parametrize(
    ("text", "log_probability", "language", "reason"),
    [
        (MEMO, -0.1, "de", "language"),
        (MEMO, -0.1, "de-AT", "language"),
        (MEMO, -1.5, None, "confidence"),
        (MEMO, -1.5, "en", "confidence"),
        ("I never slept", -0.1, "en", "few_words"),
        ("", math.nan, None, "few_words"),
    ],
)
def test_what_was_not_understood_has_no_number_of_words_and_says_why(
    text: str, log_probability: float, language: str | None, reason: str
) -> None:
    features = measured(spoken(text, log_probability), language)
    values = named(features)
    for name in TEXT_NAMES:
        if name not in OF_TIME:
            assert math.isnan(values[name])
            assert f"{name}:{reason}" in features.undefined
    assert values["duration_s_exposure"] == 10
    undefined = {name.partition(":")[0] for name in features.undefined}
    assert undefined == {name for name, value in values.items() if math.isnan(value)}


def test_a_memo_of_unknown_language_counts_when_its_transcript_is_probable() -> None:
    assert named(measured(spoken(MEMO), None))["first_singular_count"] == 2


def test_without_voice_there_is_no_rate_of_it() -> None:
    features = measured(spoken(MEMO), voiced_s=0.0)
    assert "words_per_voiced_s:no_speech" in features.undefined
    assert named(features)["words_per_min"] == 84


def test_type_token_ratio_is_a_mean_over_rows_and_no_matter_of_length() -> None:
    assert type_token(["a"] * 50) == 1 / 50
    assert type_token([str(at) for at in range(50)]) == 1.0
    cycle = [str(at % 30) for at in range(500)]
    assert type_token(cycle) == pytest.approx(type_token(cycle[:60])) == pytest.approx(0.6)
    assert named(measured(spoken(" ".join(cycle))))["type_token_50"] == np.float32(0.6)
    assert measured(spoken(" ".join(cycle))).undefined == ()


def test_no_number_shows_a_word() -> None:
    features = measured(spoken(MEMO.replace("hopeless", "canary")))
    assert "canary" not in f"{features} {features.undefined}".lower()
