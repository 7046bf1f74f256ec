"""Real output of commands is what their published schema says."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner
from typing_extensions import is_typeddict

from streams.cli.application import app
from streams.reference.output import OUTPUTS, Output, output_schema
from streams.terminal import json_lines
from tests.commands import commands
from tests.json_output import validated

WITHOUT = {
    "demo": "draws, and prints what the drawing shows",
    "up": "runs until it is stopped",
    "worker": "runs until it is stopped",
    "agents": "runs until it is stopped",
    "history": "runs until it is stopped",
    "dashboard": "runs until it is stopped",
    "keys serve": "runs until it is stopped",
    "bridge alertmanager": "runs until it is stopped",
    "bridge webhook": "runs until it is stopped",
    "bridge slack": "runs until it is stopped",
    "bridge fhir": "runs until it is stopped",
}
"""Commands without `--json`, and why."""


def run(*arguments: str, given: str = "") -> str:
    result = CliRunner().invoke(app, arguments, input=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_command_reports_as_json_or_says_why_not() -> None:
    found = dict(commands(typer.main.get_command(app)))
    runs = {path for path, each in found.items() if not isinstance(each, TyperGroup) or each.invoke_without_command}
    with_json = {path for path in runs if any("--json" in parameter.opts for parameter in found[path].params)}
    assert set(map(" ".join, with_json)) == set(OUTPUTS)
    assert set(map(" ".join, runs - with_json)) == set(WITHOUT)


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_schema_describes_its_kinds_and_is_valid_itself(command: str) -> None:
    schema = output_schema(OUTPUTS[command])
    jsonschema.Draft202012Validator.check_schema(schema)
    described = [schema, *schema.get("$defs", {}).values()]
    assert all(part.get("description") for part in described if "properties" in part)


def test_every_field_of_a_line_is_described_also_where_it_comes_from_another_kind() -> None:
    kinds = {name: kind for name, kind in vars(json_lines).items() if is_typeddict(kind)}
    parts = output_schema(Output("Lines of any kind.", tuple(kinds.values())))["$defs"]
    fields = {f"{kind}.{name}": field for kind in kinds for name, field in parts[kind]["properties"].items()}
    assert [name for name, field in fields.items() if "description" not in field] == []
    assert "WholeDeadLetter.dead_letter_id" in fields


def scores() -> str:
    """A month of calm scores of one user and a fortnight of high ones, as lines for `drift replay`."""
    start = datetime(2026, 1, 1, 8, tzinfo=UTC)
    risen = [0.2 + 0.02 * (day % 5) if day < 30 else 0.9 for day in range(44)]
    return "".join(
        json.dumps(
            {
                "user_id": "user-1",
                "memo_id": f"memo-{day}",
                "recorded_at": (start + timedelta(days=day)).isoformat(),
                "probability": probability,
            }
        )
        + "\n"
        for day, probability in enumerate(risen)
    )


def test_alerts_of_a_replay() -> None:
    lines = validated("drift replay", run("drift", "replay", "--any-order", given=scores()))
    assert lines
    assert lines == validated("drift replay", run("drift", "replay", "--any-order", "--json", given=scores()))


def test_thresholds() -> None:
    (report,) = validated("drift calibrate", run("drift", "calibrate", "--json"))
    assert report["threshold"] > 0


def test_a_plot_of_a_user(tmp_path: Path) -> None:
    file, plot = tmp_path / "scores.jsonl", tmp_path / "plot.png"
    file.write_text(scores())
    (line,) = validated(
        "drift plot", run("drift", "plot", "--user", "user-1", "--scores", str(file), "--out", str(plot), "--json")
    )
    assert (line["plot"], line["memos"], line["judged"]) == (str(plot), 44, {"scored": 44})
    assert plot.is_file()


def test_released_schemas() -> None:
    assert len(validated("topics schemas", run("topics", "schemas", "--json"))) >= 8
