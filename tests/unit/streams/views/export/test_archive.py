"""The archive: its files are the table's, whatever a pseudonym says, and each can be read."""

import json
from io import BytesIO
from zipfile import ZipFile

from streams.views.export.archive import FILES, archive, bundle, counts
from tests.unit.streams.fhir.resources import validated
from tests.unit.streams.views.export.held import CODEC, OTHER, USER, held, nothing


def test_names_of_files_never_come_from_data_and_nobody_else_is_in_them() -> None:
    with ZipFile(BytesIO(archive(held(), CODEC))) as file:
        assert file.namelist() == [*FILES]
        assert {entry.external_attr >> 16 for entry in file.infolist()} == {0o600}
        texts = {name: file.read(name).decode() for name in file.namelist()}
    assert OTHER not in "".join(texts.values())
    about = json.loads(texts["export.json"])
    assert (about["user_id"], about["records"]["memos.features"], about["database"]) == (USER, 2, True)
    for name, text in texts.items():
        if name.endswith(".json"):
            json.loads(text)
    assert len(json.loads(texts["records/risk.scored.json"])) == 2
    assert [line.isprintable() for line in texts["state.txt"].splitlines()]


def test_the_bundle_is_valid_fhir_with_scores_and_changes() -> None:
    found = validated(bundle(held()))
    assert [type(entry.resource).__name__ for entry in found.entry] == ["RiskAssessment", "RiskAssessment", "Flag"]
    assert validated(bundle(nothing())).entry is None


def test_an_archive_of_little_is_whole_as_well() -> None:
    with ZipFile(BytesIO(archive(nothing(), CODEC))) as file:
        assert file.testzip() is None
        assert json.loads(file.read("history.json")) is None
    assert sum(counts(nothing()).values()) == 0
