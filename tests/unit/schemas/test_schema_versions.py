"""The table of versions is complete, and its fingerprints are those that records carry and that Avro defines."""

import json
from pathlib import Path

from fastavro.schema import to_parsing_canonical_form
from typer.testing import CliRunner

from schemas import topics
from schemas.codec import SINGLE_OBJECT_MAGIC, Codec
from schemas.schema_versions import FIRST_RELEASES, schema_versions
from streams.cli.application import app
from tests.unit.schemas.records import EXAMPLES
from tests.unit.schemas.test_codec import crc64_avro

ROOT = Path(__file__).parent.parent.parent.parent
HISTORY = ROOT / "schemas" / "avro" / "history"


def test_every_released_version_has_its_first_release() -> None:
    assert sorted(FIRST_RELEASES) == sorted(path.stem for path in HISTORY.glob("*.avsc"))


def test_versions_come_in_the_order_of_the_topics_and_of_their_numbers() -> None:
    order = [topic.name for topic in topics.TOPICS]
    found = [(order.index(each.topic), each.number) for each in schema_versions()]
    assert found == sorted(found)


def test_fingerprints_are_those_of_the_specification() -> None:
    for each in schema_versions():
        canonical = to_parsing_canonical_form(json.loads((ROOT / each.file).read_text()))
        assert each.integer == crc64_avro(canonical.encode()), each.file
        assert each.java_long % 2**64 == each.integer
        assert each.fingerprint == each.integer.to_bytes(8, "little")


def test_records_carry_the_fingerprint_of_the_last_version_of_their_topic() -> None:
    newest = {each.topic: each.fingerprint for each in schema_versions()}
    for topic in topics.TOPICS:
        record = next(each for each in EXAMPLES if type(each) is topic.record)
        assert Codec().encode(record)[:10] == SINGLE_OBJECT_MAGIC + newest[topic.name]


def test_the_command_prints_every_version() -> None:
    lines = CliRunner().invoke(app, ["topics", "schemas", "--json"]).stdout.splitlines()
    printed = [json.loads(line) for line in lines]
    assert [(row["file"], row["fingerprint"], row["integer"]) for row in printed] == [
        (each.file, each.fingerprint.hex(), each.integer) for each in schema_versions()
    ]
    table = CliRunner().invoke(app, ["topics", "schemas"]).stdout
    assert all(each.fingerprint.hex() in table and str(each.integer) in table for each in schema_versions())
