"""What `--json` prints, by command: the kinds of its lines, and their JSON Schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

from schemas.events import AuditEvent, RiskAlert, RiskScored
from streams.drift.thresholds import ThresholdReport
from streams.terminal import audit_lines
from streams.terminal import json_lines as lines
from streams.views.user import UserView


@dataclass(frozen=True, slots=True)
class Output:
    """The JSON lines of one command. says: how many there are, and of what."""

    says: str
    kinds: tuple[type[Any], ...]


OUTPUTS: Mapping[str, Output] = {
    "submit": Output("A line per file.", (lines.Outcome, lines.Submitted, lines.Failed)),
    "score": Output("A line per file.", (lines.Scored, lines.Failed)),
    "features": Output("A line per file, and one for the plot.", (lines.Features, lines.Failed, lines.Plotted)),
    "transcribe": Output("One line.", (lines.Transcribed,)),
    "train": Output("One line.", (lines.Trained,)),
    "evaluate": Output("One line.", (lines.Evaluated,)),
    "bundle verify-equivalent": Output("One line.", (lines.VerifiedEquivalent,)),
    "scores": Output("A line per score.", (RiskScored,)),
    "user": Output("One line.", (UserView,)),
    "rescore": Output("One line.", (lines.Rescored,)),
    "alerts": Output("A line per alert.", (RiskAlert,)),
    "alerts mute": Output("One line: the new mute.", (lines.MuteLine,)),
    "alerts unmute": Output("A line per mute that this ends.", (lines.MuteLine,)),
    "alerts mutes": Output("A line per mute.", (lines.MuteLine,)),
    "drift calibrate": Output("One line.", (ThresholdReport,)),
    "drift replay": Output("A line per alert, also without `--json`.", (RiskAlert,)),
    "drift plot": Output("One line.", (lines.DriftPlot,)),
    "doctor": Output("A line per check.", (lines.CheckResult,)),
    "topics create": Output("A line per topic and per subject.", (lines.CreatedTopic, lines.RegisteredSubject)),
    "topics schemas": Output("A line per version.", (lines.SchemaVersion,)),
    "topics describe": Output("A line per topic.", (lines.TopicState,)),
    "history migrate": Output("One line.", (lines.Migrated,)),
    "history rebuild": Output("One line.", (lines.Rebuilt,)),
    "history cohorts": Output("One line.", (lines.CohortMembers,)),
    "keys init": Output("One line.", (lines.KeysMade,)),
    "keys status": Output("One line.", (lines.KeyStatus,)),
    "keys grant": Output("A line per person and month, also without `--json`.", (lines.KeyGrant,)),
    "keys rotate": Output("One line.", (lines.KeysRotated,)),
    "keys destroy-epochs": Output("One line.", (lines.MonthsDestroyed,)),
    "consent": Output("One line.", (lines.ConsentLine,)),
    "erase": Output("One line.", (lines.ErasedPerson,)),
    "erase verify": Output("A line per topic, key, table and file.", (lines.TrialLine,)),
    "export": Output("One line.", (lines.ExportedPerson,)),
    "dead-letters list": Output("A line per dead letter.", (lines.DeadLetterLine,)),
    "dead-letters show": Output("One line.", (lines.WholeDeadLetter,)),
    "audit verify": Output("One line.", (audit_lines.AuditVerified,)),
    "audit list": Output("A line per event.", (AuditEvent,)),
    "audit export": Output(
        "A line per event, then one per signed head, also without `--json`.",
        (audit_lines.ExportedEvent, audit_lines.ExportedHead),
    ),
    "audit anchor": Output("One line.", (audit_lines.AnchoredHead,)),
    "dead-letters redrive": Output("A line per record, and per dead letter that is refused.", (lines.Redriven,)),
}
"""One row per command with `--json`."""

OPEN = {lines.Trained, lines.Evaluated}
"""Kinds with more fields than they name."""


def output_schema(output: Output) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of every line. Readers must ignore fields that they do not know."""
    for kind in vars(lines).values():
        if is_typeddict(kind):
            kind.__pydantic_config__ = _OPENED if kind in OPEN else _DOCUMENTED
    return _schema(reduce(or_, output.kinds))


def _schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter[Any](kind).json_schema(mode="serialization", schema_generator=_UntitledFields)


class _UntitledFields(GenerateJsonSchema):
    """Without the titles of fields, which repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _describe_inherited(schema: dict[str, Any], kind: Any) -> None:
    """Describe the fields that come from another kind: pydantic reads the docstrings of a kind's own fields only."""
    for base in filter(is_typeddict, kind.__orig_bases__):
        for name, field in _schema(base)["properties"].items():
            schema["properties"][name].setdefault("description", field["description"])


_DOCUMENTED = ConfigDict(use_attribute_docstrings=True, json_schema_extra=_describe_inherited)
_OPENED = ConfigDict(**_DOCUMENTED, extra="allow")
