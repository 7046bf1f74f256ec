"""The committed document of the API is what the routes say, and every route has a row of permissions."""

import json

import pytest

from streams.access.permissions import ROUTES
from streams.api import openapi_document
from streams.api.openapi_document import FILE, main
from streams.api.problems import FHIR, MEDIA_TYPE
from streams.fhir.answers import FHIR_JSON


def test_the_committed_document_is_what_the_routes_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setattr(openapi_document, "text", lambda: "{}")
    assert main(["--check"]) == 1


def test_every_route_has_its_permission_and_answers_errors_with_problems() -> None:
    document = json.loads(FILE.read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert (method.upper(), path) in ROUTES
            assert {"401", "403", "429", "500", "503"} <= operation["responses"].keys()
            problem = FHIR_JSON if path.startswith(FHIR) else MEDIA_TYPE
            for status, response in operation["responses"].items():
                assert status < "400" or list(response.get("content", {})) == [problem], (path, status)
                assert status >= "400" or MEDIA_TYPE not in response.get("content", {}), (path, status)


def test_names_of_operations_are_unique() -> None:
    paths = json.loads(FILE.read_text())["paths"].values()
    names = [operation["operationId"] for operations in paths for operation in operations.values()]
    assert len(set(names)) == len(names)
