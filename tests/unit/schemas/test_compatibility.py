import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import compatibility
from schemas.compatibility import AVRO, Versions, faults_in, main, release, versions_in
from tests.unit.schemas.test_avro_resolution import really_read

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the released schemas that a test may break."""
    return Path(shutil.copytree(AVRO, tmp_path / "avro", ignore=shutil.ignore_patterns("__pycache__")))


def change(folder: Path, stem: str, how: Change) -> None:
    path = folder / f"{stem}.avsc"
    schema = json.loads(path.read_text())
    how(schema)
    path.write_text(json.dumps(schema, indent=2))


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return next(f for f in schema["fields"] if f["name"] == name)


def add(**new: object) -> Change:
    return lambda schema: schema["fields"].append(new)


def test_the_schemas_of_this_tree_read_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "8 topics" in capsys.readouterr().out


@pytest.mark.parametrize("versions", versions_in(AVRO), ids=lambda v: v.topic)
def test_every_version_really_reads_every_other(versions: Versions) -> None:
    every = [versions.today, *versions.released.values()]
    for reader in every:
        for writer in every:
            really_read(reader, writer)


def test_a_field_with_a_default_waits_for_its_release(folder: Path) -> None:
    change(folder, "memo_uploaded", add(name="device", type=["null", "string"], default=None))
    assert faults_in(folder) == [
        "memos.uploaded: memo_uploaded.avsc is not the newest released version: when it is final, keep it as version 2 "
        "with `python -m schemas.compatibility --release`"
    ]
    assert release(folder) == ["memo_uploaded.2.avsc"]
    assert faults_in(folder) == []
    assert release(folder) == []


BREAKS: list[tuple[str, Change, list[str]]] = [
    (
        "a field without a default",
        add(name="device", type="string"),
        ["today's readers cannot read what version 1 wrote: field `device`"],
    ),
    (
        "a field taken away",
        lambda s: s["fields"].remove(field(s, "band")),
        ["readers of version 1 cannot read what today's writers write: field `band`: is not written"],
    ),
    (
        "a field renamed",
        lambda s: field(s, "band").update(name="level"),
        ["version 1 wrote: field `level`", "today's writers write: field `band`"],
    ),
    (
        "a promotion one way",
        lambda s: field(s, "memo_id").update(type="bytes", aliases=[]) or field(s, "probability").update(type="double"),
        [
            "version 1 wrote: field `probability`: null cannot be read as double",
            "today's writers write: field `memo_id`: bytes cannot be read as string",
        ],
    ),
    (
        "a nested field without a default",
        lambda s: field(s, "evidence")["type"]["items"]["fields"].append({"name": "unit", "type": "string"}),
        ["version 1 wrote: field `evidence[].unit`: is not written"],
    ),
    (
        "another unit of time",
        lambda s: field(s, "scored_at")["type"].update(logicalType="timestamp-micros"),
        [
            "timestamp-millis would be taken for timestamp-micros",
            "timestamp-micros would be taken for timestamp-millis",
        ],
    ),
]


@pytest.mark.parametrize(("name", "how", "message"), BREAKS, ids=[b[0] for b in BREAKS])
def test_a_break_is_reported_by_topic_version_field_and_cure(
    folder: Path, name: str, how: Change, message: list[str]
) -> None:
    change(folder, "risk_scored", how)
    faults = [fault for fault in faults_in(folder) if "--release" not in fault]
    (scored,) = [versions for versions in versions_in(folder) if versions.topic == "risk.scored"]
    each = [part.replace("version 1", f"version {number}") for number in scored.released for part in message]
    for fault, part in zip(faults, each, strict=True):
        assert fault.startswith("risk.scored: ")
        assert part in fault
        assert fault.endswith("add a new field with a default")
    assert release(folder) == []


def test_a_new_symbol_needs_a_default_in_every_released_version(folder: Path) -> None:
    change(folder, "risk_alert", lambda s: field(s, "kind")["type"]["symbols"].append("trend"))
    assert not [fault for fault in faults_in(folder) if "--release" not in fault]
    change(folder, "risk_alert", lambda s: field(s, "state")["type"]["symbols"].append("muted"))
    faults = [fault for fault in faults_in(folder) if "--release" not in fault]
    (alerts,) = [versions for versions in versions_in(folder) if versions.topic == "risk.alerts"]
    for number, fault in zip(alerts.released, faults, strict=True):
        assert f"readers of version {number} cannot read" in fault
        assert "field `state`: symbol muted is unknown" in fault


def test_every_released_version_counts_and_not_only_the_newest(folder: Path) -> None:
    change(folder, "memo_uploaded", add(name="device", type=["null", "string"], default=None))
    release(folder)
    # Version 2 knows the field, version 1 does not: only version 1 stands in the way of the default's going.
    change(folder, "memo_uploaded", lambda s: field(s, "device").pop("default"))
    faults = [fault for fault in faults_in(folder) if "--release" not in fault]
    assert [fault.split(": ")[1] for fault in faults] == ["today's readers cannot read what version 1 wrote"]


def test_a_released_version_is_never_edited_removed_or_slipped_in(folder: Path) -> None:
    path = folder / "history" / "risk_scored.1.avsc"
    path.write_text(path.read_text().replace("Id of the memo", "An id of the memo"))
    (folder / "history" / "dead_letter.1.avsc").unlink()
    shutil.copy(folder / "memo_uploaded.avsc", folder / "history" / "memo_uploaded.2.avsc")
    message = [fault.split(" ")[0] for fault in compatibility.edited(folder)]
    assert message == ["history/dead_letter.1.avsc", "history/memo_uploaded.2.avsc", "history/risk_scored.1.avsc"]
    assert release(folder) == []


def test_documentation_may_be_improved_at_any_time(folder: Path) -> None:
    change(folder, "risk_scored", lambda s: field(s, "evidence")["type"]["items"].update(doc="Better said."))
    assert faults_in(folder) == []


def test_a_gap_in_the_versions_is_reported(folder: Path) -> None:
    (folder / "history" / "risk_scored.1.avsc").rename(folder / "history" / "risk_scored.3.avsc")
    assert any("number them from 1 without a gap" in fault for fault in faults_in(folder))


def test_the_command_fails_with_the_faults(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "memo_uploaded", add(name="device", type="string"))
    assert main([], folder) == 1
    assert main(["--release"], folder) == 1
    assert "memos.uploaded: today's readers" in capsys.readouterr().err
    change(folder, "memo_uploaded", add(name="broken", type="nothing", default=1))
    assert main([], folder) == 1
    assert "memo_uploaded.avsc is not an Avro schema" in capsys.readouterr().err
