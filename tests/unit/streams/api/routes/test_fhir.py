"""The FHIR search over HTTP: valid pages, all of a person's memos once, errors as FHIR clients read them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from schemas import topics
from schemas.event_enums import AuditAction
from schemas.events import Band, RiskScored
from tests.dashboards import Dashboard, dashboard, people
from tests.unit.streams.fhir.resources import validated

FHIR_JSON = "application/fhir+json"
USER = "north-1"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path) as made:
        records = people(USER, "south-1")
        (first, *_) = [record for record in records if isinstance(record, RiskScored)]
        abstains = replace(
            first,
            memo_id="silent",
            score_id="silent",
            probability=None,
            band=Band.INDETERMINATE,
            reasons=("quality:noisy",),
        )
        await made.store(*records, abstains)
        yield made


async def bundle(here: Dashboard, address: str = "/fhir/RiskAssessment", **params: Any) -> Any:
    answer = await here.client.get(address, params=params or None)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == FHIR_JSON
    validated(answer.json())
    return answer.json()


def resources(page: Any) -> list[Any]:
    return [entry["resource"] for entry in page.get("entry", [])]


async def test_pages_hold_every_memo_once_newest_first(here: Dashboard) -> None:
    page = await bundle(here, subject=f"Patient/{USER}", _count=2)
    found = resources(page)
    while following := [link["url"] for link in page["link"] if link["relation"] == "next"]:
        parts = urlsplit(following[0])
        page = await bundle(here, f"{parts.path}?{parts.query}")
        assert len(resources(page)) <= 2
        found += resources(page)
    assert len({each["id"] for each in found}) == len(found) == 6
    times = [each["occurrenceDateTime"] for each in found]
    assert times == sorted(times, reverse=True)
    assert all(each["subject"]["identifier"]["value"] == USER for each in found)
    assert [each["status"] for each in found].count("cancelled") == 1
    assert sum("prediction" in each for each in found) == 5


async def test_every_page_is_one_look_at_one_person(here: Dashboard) -> None:
    await bundle(here, patient=USER)
    await bundle(here, **{"subject:identifier": f"urn:x-undertone:pseudonym|{USER}"})
    looks = await here.records(topics.AUDIT)
    assert [(look.action, look.resource, look.user_ids) for look in looks] == [
        (AuditAction.EXPORTED, "fhir", (USER,))
    ] * 2


async def test_a_search_may_be_bounded_in_time(here: Dashboard) -> None:
    everything = resources(await bundle(here, subject=USER))
    day = everything[2]["occurrenceDateTime"][:10]
    later = resources(await bundle(here, subject=USER, date=[f"ge{day}", "lt2199"]))
    assert {each["id"] for each in later} == {e["id"] for e in everything if e["occurrenceDateTime"][:10] >= day}
    assert resources(await bundle(here, subject=USER, date="lt2001")) == []


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 400),
        ({"subject": ""}, 400),
        ({"subject": "a", "patient": "b"}, 400),
        ({"subject": "x" * 300}, 400),
        ({"subject": USER, "date": "yesterday"}, 400),
        ({"subject": USER, "page": "nonsense"}, 400),
        ({"subject": USER, "_format": "xml"}, 406),
        ({"subject": USER, "_count": "0"}, 422),
        ({"subject": "nobody"}, 404),
        ({"subject": "no\0body"}, 404),
    ],
)
async def test_errors_are_operation_outcomes(here: Dashboard, params: dict[str, str], status: int) -> None:
    answer = await here.client.get("/fhir/RiskAssessment", params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (status, FHIR_JSON)
    validated(answer.json())
    assert answer.json()["issue"][0]["diagnostics"]


async def test_an_address_without_a_route_is_an_operation_outcome_too(here: Dashboard) -> None:
    answer = await here.client.get("/fhir/Patient")
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_the_capabilities_are_public_and_name_the_server(here: Dashboard) -> None:
    answer = await here.client.get("/fhir/metadata")
    assert answer.status_code == 200
    assert validated(answer.json()).implementation.url == "http://127.0.0.1/fhir"
    assert await here.records(topics.AUDIT) == []
