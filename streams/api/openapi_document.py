"""The API as an OpenAPI document: `python -m streams.api.openapi_document [--check]` writes `docs/openapi.json`.

`--check` writes nothing and fails when the file is not what the routes say.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from streams.api.problems import FieldError, ProblemBody, documented

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
REFERENCE = "#/components/schemas/{model}"
UNUSED = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's own errors, which no route answers with."""


def document(app: FastAPI) -> dict[str, Any]:
    """The document: FastAPI's own, with every error as a problem and the ways to sign in."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in UNUSED:
        schemas.pop(name, None)
    _, own = models_json_schema(
        [(model, "serialization") for model in (FieldError, ProblemBody)], ref_template=REFERENCE
    )
    schemas.update(own["$defs"])
    made["components"]["schemas"] = dict(sorted(schemas.items()))
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "Access token of the identity provider."}
    }
    # Nothing in local mode; a browser has its session.
    made["security"] = [{}, {"bearer": []}]
    for operation in _operations(made):
        responses = operation["responses"]
        if "application/json" in responses.get("422", {}).get("content", {}):  # FastAPI's own
            responses["422"] = documented(422)[422]
        operation["responses"] = dict(sorted(responses.items()))
    return made


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in made["paths"].values():
        yield from path.values()


def text() -> str:
    """The document of this version as it is committed."""
    from schemas.codec import Codec
    from schemas.settings import Settings
    from streams.api.application import make_application
    from streams.api.services import Services

    nothing = SimpleNamespace(settings=Settings(), codec=Codec(), publisher=None, database=None)
    made = document(make_application(cast("Services", nothing)))
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the file, or with `--check` compare it; 1 when it differs."""
    wanted = text()
    if "--check" in arguments:
        if not FILE.exists() or FILE.read_text() != wanted:
            print("docs/openapi.json is not what the routes say: run `make schemas`", file=sys.stderr)  # noqa: T201
            return 1
        return 0
    FILE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
