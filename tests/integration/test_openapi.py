"""The API against its own document: whatever the document allows is answered as it says, and nothing else happens."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from streams.api.openapi_document import FILE
from tests.dashboards import in_thread, people

EXAMPLES = 12
"""Requests for each operation."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = json.loads(FILE.read_text())
OPERATIONS = [(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations]

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API with some people; live events end at once, as at a shutdown."""
    with in_thread(tmp_path_factory.mktemp("dashboard"), *people("north-1", "south-1"), ended=True) as found:
        yield found


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda each: each)
def test_every_operation_answers_as_the_document_says(address: str, path: str, method: str) -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operation = schema[path][method.upper()]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answers(case: Any) -> None:
        case.call_and_validate(base_url=address, checks=CHECKS, timeout=20)

    answers()
