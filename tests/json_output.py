"""What commands print with `--json`, held against the schema that `docs/cli.md` publishes."""

import json
from typing import Any

import jsonschema

from streams.reference.output import OUTPUTS, output_schema


def validated(command: str, printed: str) -> list[Any]:
    """The JSON lines of a command, each of them valid, and with no field that the schema does not name."""
    schema = json.dumps(output_schema(OUTPUTS[command]))
    validator = jsonschema.Draft202012Validator(json.loads(schema, object_hook=_closed))
    lines = [json.loads(line) for line in printed.splitlines()]
    for line in lines:
        validator.validate(line)
    return lines


def _closed(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a schema, without room for other fields where it has not been made for them."""
    return {"additionalProperties": False, **part} if "properties" in part and "type" in part else part
