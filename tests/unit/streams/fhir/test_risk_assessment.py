"""A score as a RiskAssessment of FHIR R4."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Band
from streams.fhir.elements import patient, pseudonym
from streams.fhir.risk_assessment import risk_assessment, status_of
from tests.unit.streams.fhir.resources import scored, validated

SUBJECT = patient("Patient/42")


def mapped(**changes: Any) -> Any:
    return risk_assessment(scored(**changes), SUBJECT)


@pytest.mark.parametrize("band", Band)
@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0, None])
@pytest.mark.parametrize("bundle", ["demo-1", "clinic-7"])
def test_every_score_is_a_valid_resource(band: Band, probability: float | None, bundle: str) -> None:
    found = validated(mapped(band=band, probability=probability, bundle_id=bundle))
    assert found.subject.reference == "Patient/42"


def test_a_judged_memo_has_its_probability_in_percent_its_band_and_its_markers() -> None:
    resource = mapped()
    (prediction,) = resource["prediction"]
    assert prediction["probabilityDecimal"] == 61.8
    assert prediction["qualitativeRisk"]["coding"][0]["code"] == "high"
    assert prediction["rationale"].startswith(
        "longer pauses than usual (pause share 0.41, usually 0.22; +2.3 SD); a breathier or hoarser voice"
    )
    assert "foreign" not in str(resource)
    assert resource["status"] == "final"
    assert resource["occurrenceDateTime"] == "2026-05-01T08:00:01.234Z"


@pytest.mark.parametrize(
    ("reasons", "status"),
    [(("missing:embedding",), "preliminary"), (("quality:noisy",), "cancelled"), ((), "cancelled")],
)
def test_a_score_that_abstains_predicts_nothing_and_says_why(reasons: tuple[str, ...], status: str) -> None:
    resource = mapped(band=Band.INDETERMINATE, reasons=reasons)
    assert "prediction" not in resource
    assert "0.6" not in str(resource)
    assert "61.8" not in str(resource)
    assert resource["status"] == status == status_of(scored(Band.INDETERMINATE, reasons=reasons))
    assert (reasons[0] if reasons else "undecided") in resource["note"][1]["text"]
    validated(resource)


def test_a_memo_has_one_resource_whatever_becomes_of_its_score() -> None:
    first, revised = mapped(), mapped(score_id="s2", band=Band.LOW, probability=0.2)
    assert first["identifier"] == revised["identifier"]
    assert first["id"] == revised["id"]
    assert first["id"] != mapped(user_id="other")["id"] != mapped(memo_id="other")["id"]
    assert "memo-1" not in str(first)
    assert "clinic-a-7" not in str(first)


def test_no_resource_can_be_read_as_a_diagnosis() -> None:
    resource = mapped()
    text = str(resource).lower()
    assert "A compass, never a diagnosis" in resource["note"][0]["text"]
    assert "A compass, never a diagnosis" in resource["text"]["div"]
    assert "depress" not in text
    assert "snomed" not in text
    assert "coding" not in resource["code"]
    assert "coding" not in resource["prediction"][0]["outcome"]


def test_the_demonstration_is_marked_as_test_data() -> None:
    resource = mapped(bundle_id="demo-1")
    assert resource["meta"]["security"][0]["code"] == "HTEST"
    assert resource["code"]["text"].startswith("Demonstration: ")
    assert "says nothing about any person" in resource["note"][0]["text"]
    assert "meta" not in mapped()


def test_without_a_table_of_patients_the_subject_is_the_pseudonym() -> None:
    resource: Any = risk_assessment(scored(), pseudonym("clinic-a-7"))
    assert resource["subject"]["identifier"]["value"] == "clinic-a-7"
    validated(resource)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=50))
def test_texts_of_a_record_stay_text(text: str) -> None:
    resource = mapped(bundle_id=f"x{text}", reasons=(f"a{text}",), band=Band.INDETERMINATE)
    paragraphs = ElementTree.fromstring(resource["text"]["div"])
    assert all(not len(paragraph) for paragraph in paragraphs)
    assert "\n" not in resource["text"]["div"]
