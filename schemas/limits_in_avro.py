"""Writes the limits of records into the Avro schemas: into each field's `doc`, and as validation keywords.

Readers of Avro ignore both, and neither is part of a schema's fingerprint.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from schemas.codec import schema_name
from schemas.events import RECORDS
from schemas.limit_types import Limit
from schemas.limits import FIELDS

KEYWORDS = frozenset(
    {"minLength", "maxLength", "pattern", "minimum", "exclusiveMinimum", "maximum", "minItems", "maxItems"}
)
"""Keywords of JSON Schema that AsyncAPI's tools read in Avro schemas."""
_MUST = " Must be "
_KINDS = {kind.__name__: kind for kind in FIELDS}


def annotated(node: Any) -> Any:
    """A schema with the limits of all its records. Idempotent."""
    if isinstance(node, list):
        return [annotated(each) for each in node]
    if not isinstance(node, dict):
        return node
    limits = FIELDS.get(_KINDS.get(str(node.get("name")), object), {}) if node.get("type") == "record" else {}
    copy = {key: annotated(value) for key, value in node.items() if key != "fields"}
    if "fields" in node:
        copy["fields"] = [_field(annotated(each), limits.get(each["name"])) for each in node["fields"]]
    return copy


def _field(field: dict[str, Any], limit: Limit | None) -> dict[str, Any]:
    kept = {key: value for key, value in field.items() if key not in KEYWORDS}
    if limit is None:
        return kept
    told = limit.part is None or bool(limit.keywords)
    doc = str(field["doc"]).partition(_MUST)[0] + (f"{_MUST}{limit.rule}." if told else "")
    return {**kept, "doc": doc, **limit.keywords}


def schema_files() -> dict[str, Path]:
    """The files of today's schemas by name."""
    folder = Path(str(resources.files("schemas.avro")))
    return {name: folder / name for name in (f"{schema_name(kind)}.avsc" for kind in RECORDS)}


def text_of(path: Path) -> str:
    """What the file of a schema should hold."""
    return json.dumps(annotated(json.loads(path.read_text())), indent=2) + "\n"
