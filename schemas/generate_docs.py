"""Documents that are generated from the code: `python -m schemas.generate_docs [--check]`.

`--check` writes nothing and fails when a document is out of date. A new one is a function that returns its text, and a
line in DOCUMENTS. The Avro schemas are not generated, but for the limits of their fields. Needs PyYAML, which only
development brings.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from schemas.asyncapi_document import asyncapi_text
from schemas.evaluation_report import report_schema
from schemas.limits_in_avro import schema_files, text_of
from schemas.limits_page import limits_page
from schemas.metrics_page import metrics_page
from schemas.pipeline_page import pipeline_page
from schemas.schemas_page import schemas_page
from schemas.settings_page import settings_page
from schemas.state_page import state_page

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "asyncapi.yaml": asyncapi_text,
    "evaluation-report.schema.json": report_schema,
    "limits.md": limits_page,
    "metrics.md": metrics_page,
    "pipeline.md": pipeline_page,
    "schemas.md": schemas_page,
    "settings.md": settings_page,
    "state.md": state_page,
}
"""What makes each document, by its name under `docs`."""


def stale(folder: Path) -> list[str]:
    """Names of the documents that are out of date."""
    found = {name: folder / name for name in DOCUMENTS}
    return [name for name, path in found.items() if not path.is_file() or path.read_text() != DOCUMENTS[name]()]


def stale_schemas() -> list[str]:
    """Names of the Avro schemas whose limits are out of date."""
    return [name for name, path in schema_files().items() if path.read_text() != text_of(path)]


def main(arguments: list[str], folder: Path = DOCS) -> int:
    """The command: writes the documents, or with `--check` lists the stale ones and returns 1."""
    if "--check" in arguments:
        names = [f"docs/{name}" for name in stale(folder)] + [f"schemas/avro/{name}" for name in stale_schemas()]
        sys.stderr.writelines(f"{name} is out of date: run `make schemas`\n" for name in names)
        return min(len(names), 1)
    for name in stale_schemas():  # first: the AsyncAPI document quotes them
        schema_files()[name].write_text(text_of(schema_files()[name]))
    folder.mkdir(exist_ok=True)
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
