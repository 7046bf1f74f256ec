"""What commands print with `--json`, held against the schema that `docs/cli.md` publishes."""

import json
from typing import Any

import jsonschema

from streams.reference.output import OUTPUTS, output_schema


def validated(command: str, printed: str) -> list[Any]:
    """The JSON lines of a command, each of them valid, and with no field that the schema does not name."""
    validator = jsonschema.Draft202012Validator(_closed(output_schema(OUTPUTS[command])))
    lines = [json.loads(line) for line in printed.splitlines()]
    for line in lines:
        validator.validate(line)
    return lines


def _closed(schema: Any) -> Any:
    """The schema without room for other fields where it has not been made for them."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return {"additionalProperties": False, **closed} if "properties" in schema and "type" in schema else closed
