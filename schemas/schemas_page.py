"""`docs/schemas.md`: every released version of every schema with its fingerprint."""

from schemas.codec import SINGLE_OBJECT_MAGIC
from schemas.generated_page import page, table
from schemas.schema_versions import SchemaVersion, schema_versions

INTRODUCTION = f"""\
Values are Avro. The last version of each topic is the one that is written; every version reads every other, so a
reader may keep any of them.

**Without a schema registry** a value is Avro single-object encoding: two bytes, `{SINGLE_OBJECT_MAGIC.hex(" ")}`, the
eight bytes of the schema's CRC-64-AVRO fingerprint as in the table (least significant byte first), then the body. A
producer copies them from here and computes nothing. A reader looks the fingerprint up and decodes the body with that
version's file.

**With a schema registry** (`SCHEMA_REGISTRY_URL`) a value is `00`, four bytes of schema id, most significant byte
first, then the body. Subjects are named `TOPIC-value`; `undertone topics create` registers them.

`undertone topics schemas` prints this table, with `--json` one line per version. The fingerprint is of the parsing
canonical form, so neither documentation nor limits change it. The integer is the same eight bytes, unsigned; Java's
`SchemaNormalization.parsingFingerprint64` returns it signed, as in the last column."""


def schemas_page() -> str:
    """The versions as a page."""
    return page(
        "Schemas and their fingerprints",
        INTRODUCTION,
        table(
            ("topic", "version", "file", "first release", "fingerprint as framed (hex)", "integer", "as Java's long"),
            map(_row, schema_versions()),
        ),
    )


def _row(each: SchemaVersion) -> tuple[str, ...]:
    name = each.file.rpartition("/")[2]
    return (
        f"`{each.topic}`", str(each.number), f"[`{name}`](../{each.file})", each.first_release,
        f"`{each.fingerprint.hex()}`", str(each.integer), str(each.java_long),
    )  # fmt: skip
