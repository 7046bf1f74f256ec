"""What a FHIR server answers besides resources: pages of a search, errors, and what it can do. Pure."""

from collections.abc import Sequence
from datetime import datetime

from schemas.json_records import Json
from schemas.version import version
from streams.fhir.elements import Element, instant

FHIR_JSON = "application/fhir+json"
FHIR_VERSION = "4.0.1"
ISSUES = {400: "invalid", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "not-supported",
          413: "too-long", 422: "invalid", 429: "throttled", 503: "transient"}  # fmt: skip
"""Type of an issue by HTTP status; any other is `exception`."""


def searchset(resources: Sequence[Element], total: int | None, this_page: str, next_page: str | None) -> Element:
    """One page of a search. total: matches of all pages, None where that is not known; pages are addresses."""
    links: list[Json] = [{"relation": "self", "url": this_page}]
    if next_page is not None:
        links.append({"relation": "next", "url": next_page})
    counted: Element = {} if total is None else {"total": total}
    entries: list[Json] = [
        {"fullUrl": f"urn:uuid:{each['id']}", "resource": each, "search": {"mode": "match"}} for each in resources
    ]
    found: Element = {"entry": entries} if entries else {}
    return {"resourceType": "Bundle", "type": "searchset", **counted, "link": links, **found}


def collection(resources: Sequence[Element], made_at: datetime) -> Element:
    """Resources in one file, which answers no search."""
    entries: list[Json] = [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each} for each in resources]
    found: Element = {"entry": entries} if entries else {}
    return {"resourceType": "Bundle", "type": "collection", "timestamp": instant(made_at), **found}


def operation_outcome(status: int, detail: str) -> Element:
    """An error as FHIR clients expect it. status: of HTTP; detail: one sentence for people."""
    issue: Element = {"severity": "error", "code": ISSUES.get(status, "exception"), "diagnostics": detail}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def capability_statement(address: str, released: datetime) -> Element:
    """What this server can do. address: of the server, the base of all others; released: when this was written."""
    parameters: list[Json] = [
        {"name": "subject", "type": "reference", "documentation": "The pseudonym, alone or as Patient/PSEUDONYM."},
        {"name": "patient", "type": "reference", "documentation": "The same."},
        {"name": "date", "type": "date", "documentation": "When the memo was recorded, with ge, gt, le, lt or a day."},
    ]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(released),
        "kind": "instance",
        "software": {"name": "Undertone", "version": version()},
        "implementation": {"description": "Undertone: risk scores of voice memos", "url": address},
        "fhirVersion": FHIR_VERSION,
        "format": ["json", FHIR_JSON],
        "rest": [
            {
                "mode": "server",
                "documentation": "Read only. A compass, never a diagnosis.",
                "security": {"description": "A bearer token, or a session of the dashboard. Every look is audited."},
                "resource": [
                    {
                        "type": "RiskAssessment",
                        "interaction": [{"code": "search-type"}],
                        "versioning": "no-version",
                        "searchParam": parameters,
                    }
                ],
            }
        ],
    }
