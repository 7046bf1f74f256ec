"""Pages of a search, errors and capabilities, as FHIR clients read them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from streams.fhir.answers import capability_statement, collection, operation_outcome, searchset
from streams.fhir.elements import pseudonym
from streams.fhir.risk_assessment import risk_assessment
from tests.unit.streams.fhir.resources import scored, validated

HERE = "https://undertone.example/fhir"


def test_a_page_links_to_itself_and_to_the_next_one() -> None:
    resource = risk_assessment(scored(), pseudonym("u"))
    page: Any = searchset([resource], 3, f"{HERE}/RiskAssessment?subject=u", f"{HERE}/RiskAssessment?subject=u&page=x")
    found = validated(page)
    assert [link.relation for link in found.link] == ["self", "next"]
    assert found.total == 3
    assert page["entry"][0]["fullUrl"] == f"urn:uuid:{resource['id']}"


def test_an_empty_page_has_no_entries_and_no_next() -> None:
    page: Any = searchset([], 0, f"{HERE}/RiskAssessment", None)
    validated(page)
    assert "entry" not in page
    assert len(page["link"]) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(400, "invalid"), (404, "not-found"), (503, "transient"), (500, "exception")]
)
def test_errors_have_their_type(status: int, code: str) -> None:
    outcome: Any = operation_outcome(status, "say which patient: subject=PSEUDONYM")
    validated(outcome)
    assert outcome["issue"][0]["code"] == code


def test_the_capabilities_are_valid_and_name_what_can_be_searched() -> None:
    statement: Any = capability_statement(HERE, datetime(2026, 5, 1, tzinfo=UTC))
    validated(statement)
    assert statement["fhirVersion"] == "4.0.1"
    (offered,) = statement["rest"][0]["resource"]
    assert offered["type"] == "RiskAssessment"
    assert {each["name"] for each in offered["searchParam"]} == {"subject", "patient", "date"}


def test_a_collection_has_its_time_and_no_links() -> None:
    resource = risk_assessment(scored(), pseudonym("u"))
    found: Any = collection([resource], datetime(2026, 5, 1, tzinfo=UTC))
    assert validated(found).type == "collection"
    assert (found["timestamp"], "link" in found) == ("2026-05-01T00:00:00.000Z", False)
