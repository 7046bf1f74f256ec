"""Evidence in words: deviation and contribution."""

import pytest

from schemas.events import AlertEvidence
from schemas.markers import MARKERS
from streams.web.episode.evidence import effect, evidence_views
from streams.web.languages import languages

ENGLISH, GERMAN = languages()["en"], languages()["de"]


def test_a_marker_says_what_is_heard_how_far_from_usual_and_what_it_does() -> None:
    (view,) = evidence_views([AlertEvidence("pause_share", 0.4137, 0.2204, 2.31, False, 0.82)], ENGLISH)
    assert (view.title, view.heard) == ("pause share", "longer pauses than usual")
    assert (view.value, view.usual, view.deviation) == ("0.41", "0.22", "+2.3")
    assert (view.effect, view.contribution) == ("raises the score strongly", "+0.82")


def test_units_and_numbers_are_those_of_the_language() -> None:
    (view,) = evidence_views([AlertEvidence("voiced_rate", 2.9, None, -1.2, True, None)], GERMAN)
    assert (view.value, view.usual, view.deviation) == ("2,9 pro Sekunde", "–", "−1,2")
    assert (view.heard, view.effect) == ("langsameres Sprechen als sonst", "nicht bekannt")
    assert view.fragile


@pytest.mark.parametrize(
    ("contribution", "expected"),
    [
        (0.0, "hardly moves the score"),
        (-0.04, "hardly moves the score"),
        (0.1, "raises the score a little"),
        (0.3, "raises the score"),
        (2.0, "raises the score strongly"),
        (-0.1, "lowers the score a little"),
        (-0.3, "lowers the score"),
        (-2.0, "lowers the score strongly"),
    ],
)
def test_a_contribution_is_told_by_direction_and_strength(contribution: float, expected: str) -> None:
    assert effect(contribution, ENGLISH) == expected


def test_every_marker_and_one_of_a_newer_bundle_can_be_told() -> None:
    names = [marker.name for marker in MARKERS] + ["new_marker"]
    for language in (ENGLISH, GERMAN):
        for deviation_sd in (-2.0, 0.1, 2.0):
            views = evidence_views([AlertEvidence(name, 1.0, 0.5, deviation_sd) for name in names], language)
            assert all(view.title and view.heard for view in views)
