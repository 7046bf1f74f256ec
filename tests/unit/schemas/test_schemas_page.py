"""The page of schemas gives a producer the bytes to write."""

from schemas.schema_versions import schema_versions
from schemas.schemas_page import schemas_page


def test_every_version_has_its_row_with_the_bytes_as_framed() -> None:
    rows = [line for line in schemas_page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(schema_versions())
    for row, each in zip(rows, schema_versions(), strict=True):
        assert f"| `{each.topic}` | {each.number} |" in row
        assert f"| `{each.fingerprint.hex()}` | {each.integer} | {each.java_long} |" in row
