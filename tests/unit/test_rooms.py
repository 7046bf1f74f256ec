"""Every module has its test at the mirrored path, every test its module, and no room grows past what one can survey."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
UNIT = ROOT / "tests" / "unit"
PACKAGES = ("schemas", "workers", "streams")
ROOM_MAX = 15

TESTED_ELSEWHERE = {
    "schemas/bridge_settings.py": "tests/unit/schemas/test_settings.py: the settings of every class",
    "streams/audit/check.py": "tests/integration/test_audit.py: commands against a broker and anchors",
    "streams/audit/findings.py": "tests/unit/streams/audit/test_tampering.py: names ten thousand tamperings",
    "streams/audit/partition.py": "tests/unit/streams/audit/test_tampering.py: names ten thousand tamperings",
    "streams/web/system/redriving.py": "tests/integration/test_dead_letters.py: redrives between a broker and a Redis",
    "workers/consumer/worker.py": "tests/integration/test_worker.py: the loop between two Kafka clients",
    "workers/kafka/consumer_lag.py": "tests/integration/test_metrics.py: reads positions of groups from a broker",
    "workers/offline/extraction.py": "tests/integration/test_offline.py: files through the real models",
    "workers/offline/session.py": "tests/unit/workers/test_api.py: the calls of the Python API",
    "workers/offline/scores.py": "tests/integration/test_offline.py: files through the real models",
    "workers/state/compare_and_set.py": "tests/contract/test_store.py: one contract for both stores",
    **dict.fromkeys(
        (
            f"workers/wav2vec2/engines/{each}.py"
            for each in ("graph", "operations", "openvino/engine", "openvino/operations")
        ),
        "tests/unit/workers/wav2vec2/engines/test_engine.py: one contract for every engine",
    ),
    **dict.fromkeys(
        (f"workers/wav2vec2/engines/{each}_engine.py" for each in ("keras", "onnx")),
        "tests/unit/workers/wav2vec2/engines/test_engine.py: one contract for every engine",
    ),
    "workers/privacy/key_services/aws_kms.py": "tests/contract/test_kms.py: one contract for all key services",
    "workers/privacy/directory_status.py": "tests/contract/test_key_directory.py: one contract for both databases",
    "workers/privacy/erased_people.py": "tests/contract/test_erased_people.py: one contract for both databases",
    "workers/privacy/erasing_keys.py": "tests/unit/streams/privacy/test_telling.py: what an erasure still opens",
    "workers/privacy/grants.py": "tests/integration/test_sealed_readers.py: readers outside with granted keys",
    "workers/privacy/key_directory.py": "tests/contract/test_key_directory.py: one contract for both databases",
    "workers/privacy/key_tables.py": "tests/contract/test_key_directory.py: one contract for both databases",
    "workers/privacy/key_services/kms.py": "tests/contract/test_kms.py: one contract for all key services",
    "workers/privacy/person_keys.py": "tests/contract/test_key_directory.py: one contract for both databases",
    "workers/privacy/key_services/pkcs11_kms.py": "tests/contract/test_kms.py: one contract for all key services",
    "workers/privacy/sources/lookup.py": "tests/unit/workers/privacy/sources/test_directory_source.py: its answer",
    "workers/privacy/rotation.py": "tests/contract/test_key_rotation.py: one contract for both databases",
    "workers/state/deadlines.py": "tests/contract/test_deadlines.py: one contract for both stores",
    "workers/state/places.py": "tests/contract/test_sealed_store.py: where values are, over both stores",
    "workers/state/quarantine.py": "tests/contract/test_store.py: damaged values and keys of any type, in both stores",
    "workers/state/redis_deadlines.py": "tests/contract/test_deadlines.py: one contract for both stores",
    "workers/state/redis_store.py": "tests/contract/test_store.py: one contract for both stores",
    "workers/state/sealed_deadlines.py": "tests/contract/test_sealed_deadlines.py: over both kinds of deadlines",
    "workers/state/sealed_store.py": "tests/contract/test_sealed_store.py: over both stores",
    "workers/state/sealed_values.py": "tests/contract/test_sealed_store.py: what is stored, over both stores",
    "workers/state/store.py": "tests/contract/test_store.py: one contract for both stores",
    "workers/storage/outcomes.py": "tests/unit/workers/storage/test_attempts.py: what each outcome leads to",
    "streams/access/identity_provider.py": "tests/integration/test_sign_in.py: a real provider",
    "streams/access/sign_in.py": "tests/integration/test_sign_in.py: sign-in and sign-out at a real provider",
    "streams/agents/faust_app.py": "tests/integration/test_faust_hazards.py: Faust on a broker that fails",
    "streams/agents/faust_consumer.py": "tests/integration/test_faust_hazards.py: Faust on a broker that fails",
    "streams/agents/lag_exporter.py": "tests/integration/test_metrics.py: lag of groups on a broker",
    "streams/cli/alerts.py": "tests/integration/test_up.py: commands against a system that runs",
    "streams/cli/privacy/audit.py": "tests/integration/test_audit.py: commands against a broker and anchors",
    "streams/cli/dead_letters.py": "tests/integration/test_dead_letters.py: commands against a broker",
    "streams/cli/doctor.py": "tests/integration/test_doctor.py: the command on broken set-ups",
    "streams/cli/privacy/export.py": "tests/integration/test_export.py: the command against servers",
    "streams/cli/history.py": "tests/integration/test_history.py: commands between a broker and a database",
    "streams/cli/memos.py": "tests/integration/test_up.py: commands that start a system and feed it",
    "streams/cli/offline.py": "tests/integration/test_offline.py: commands on files with the real models",
    "streams/cli/rescore.py": "tests/integration/test_rescore.py: the command against a broker",
    "streams/cli/scores.py": "tests/integration/test_up.py: commands against a system that runs",
    "streams/cli/services.py": "tests/integration/test_roles.py: processes with the rights of their roles",
    "streams/cli/models/bundles.py": "tests/integration/test_equivalents.py: the command with the real models",
    "streams/cli/models/train.py": "tests/unit/workers/evaluation/test_evaluate.py: trains and evaluates by command",
    "streams/doctor/extraction.py": "tests/integration/test_doctor.py: tone through openSMILE and PyAV",
    "streams/doctor/finding.py": "tests/integration/test_doctor.py: every finding",
    "streams/doctor/installation.py": "tests/integration/test_doctor.py: this Python and its libraries",
    "streams/doctor/kafka/broker.py": "tests/integration/test_doctor.py: addresses that do not answer",
    "streams/doctor/kafka/permissions.py": "tests/integration/test_doctor_kafka.py: users without a permission",
    "streams/doctor/kafka/topics.py": "tests/integration/test_doctor_kafka.py: topics with faults on Apache Kafka",
    "streams/doctor/model.py": "tests/integration/test_doctor.py: bundles and encoders that are wrong",
    "streams/doctor/placed_audio.py": "tests/integration/test_up.py: a memo that is sent and forgotten",
    "streams/doctor/redis_server.py": "tests/integration/test_doctor.py: servers that forget, evict or refuse",
    "streams/doctor/registry.py": "tests/integration/test_doctor.py: a registry that is empty or foreign",
    "streams/doctor/sent_memo.py": "tests/integration/test_up.py: a memo that is sent and forgotten",
    "streams/doctor/storage.py": "tests/integration/test_doctor.py: prefixes that are missing",
    "streams/doctor/table.py": "tests/integration/test_doctor.py: the whole table",
    "streams/drift/detector_state.py": "tests/unit/streams/drift/test_detector.py: states of the detector",
    "streams/drift/rules.py": "tests/unit/streams/drift/test_thresholds.py: rules with thresholds of the table",
    "streams/drift/stored_state.py": "tests/unit/streams/drift/test_user_state.py: states as the agent stores them",
    "streams/fusion/dead_letter_agent.py": "tests/unit/streams/fusion/test_agent.py: agents in a world of faults",
    "streams/fusion/rules.py": "tests/unit/streams/fusion/test_agent.py: agents in a world of faults",
    "streams/fusion/score_memos.py": "tests/unit/streams/fusion/test_agent.py: agents in a world of faults",
    "streams/history/agent.py": "tests/integration/test_history.py: a consumer group and a database",
    "streams/history/caseload.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/caseload_order.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/migrations/env.py": "tests/unit/streams/history/migrations/test_upgrade.py: migrations that run",
    **dict.fromkeys(
        (str(path.relative_to(ROOT)) for path in (ROOT / "streams/history/migrations/versions").glob("v*.py")),
        "tests/unit/streams/history/migrations/test_upgrade.py: migrations against the tables",
    ),
    "streams/history/operations.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/person.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/tables.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/writes/batch.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/writes/bulk.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/writes/conversion.py": "tests/contract/test_sealed_history.py: one contract for both databases",
    "streams/history/writes/erasure.py": "tests/contract/test_sealed_history.py: one contract for both databases",
    "streams/history/writes/people.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/writes/positions.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/history/writes/upkeep.py": "tests/contract/test_history.py: one contract for both databases",
    "streams/local/offline.py": "tests/integration/test_offline.py: files through the real models",
    "streams/notify/bridge.py": "tests/integration/test_bridge_webhook.py: a consumer group and a receiver",
    "streams/privacy/erasing.py": "tests/integration/test_erasure.py: one person erased from servers",
    "streams/privacy/raw_topics.py": "tests/integration/test_erasure.py: every record of a real broker",
    "streams/recovery/originals.py": "tests/integration/test_dead_letters.py: records read at their offsets",
    "streams/recovery/redrive.py": "tests/integration/test_dead_letters.py: records sent back on a broker",
    "streams/terminal/audit_lines.py": "tests/integration/test_audit.py: real output of commands",
    "streams/terminal/bundle_lines.py": "tests/integration/test_equivalents.py: real output of the command",
    "streams/terminal/history_lines.py": "tests/unit/streams/reference/test_output.py: real output of commands",
    "streams/terminal/consent_lines.py": "tests/unit/streams/cli/privacy/test_consent.py: real output of the command",
    "streams/terminal/erasure_lines.py": "tests/integration/test_erasure.py: real output of the command",
    "streams/terminal/export_lines.py": "tests/integration/test_export.py: real output of the command",
    "streams/terminal/key_lines.py": "tests/unit/streams/cli/privacy/test_keys.py: real output of commands",
    "streams/terminal/transcript_lines.py": "tests/integration/test_transcribe.py: real output of the command",
    "streams/terminal/json_lines.py": "tests/unit/streams/reference/test_output.py: real output of commands",
    "streams/roles/agents.py": "tests/integration/test_roles.py: the agents as a process with its permissions",
    "streams/roles/bridge.py": "tests/integration/test_roles.py: a bridge as a process with its permissions",
    "streams/roles/feature_worker.py": "tests/integration/test_access.py: a worker with its permissions",
    "streams/key_service/application.py": "tests/integration/test_key_service.py: requests, good and hostile",
    "streams/roles/key_service.py": "tests/integration/test_key_service.py: the role with TLS and with sockets",
    "streams/roles/history.py": "tests/integration/test_history.py: a consumer group and a database",
    "streams/roles/lifecycle.py": "tests/integration/test_up.py: every role as a process",
    "streams/roles/process.py": "tests/integration/test_stopping.py: a process that is asked to stop",
    "streams/views/mark_plot.py": "tests/unit/streams/views/test_drift_plot.py: what all plots draw",
    "streams/views/reading.py": "tests/integration/test_up.py: reads topics and Redis of a system that runs",
    "streams/views/export/gather.py": "tests/integration/test_export.py: topics, Redis and a database",
}
"""Modules without a unit test of their own: the test file that exercises them, and why there."""

ACROSS_MODULES = {
    "schemas/test_child_environment.py": "settings that a child process loads from its parent's",
    "streams/audit/test_tampering.py": "ten thousand tamperings against all that verifies the trail",
    "streams/cli/test_wrong_invocations.py": "every command, called in every wrong way",
    "streams/drift/test_simulation.py": "the detector's rates against the simulation that its thresholds come from",
    "workers/scoring/test_shipped.py": "the shipped bundle against what the workers extract today",
    "workers/wav2vec2/test_backends.py": "the encoder on every backend of Keras",
    "workers/wav2vec2/test_exactness.py": "the embedder at any padding and in any batch",
    "workers/wav2vec2/test_golden.py": "the embedder against reference outputs",
}
"""Unit tests of no single module, and what they are of."""


def modules() -> list[Path]:
    """Every module of the packages, relative to the root."""
    found = (path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(path for path in found if path.stem not in {"__init__", "__main__"})


def expected_test(module: Path) -> Path:
    """The mirrored path of a module's test."""
    return UNIT / module.parent / f"test_{module.name}"


def test_every_module_has_its_test_or_names_the_test_that_exercises_it() -> None:
    untested = [str(module) for module in modules() if not expected_test(module).exists()]
    assert sorted(set(untested) - set(TESTED_ELSEWHERE)) == [], f"write {UNIT.name}/<room>/test_<module>.py"


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_an_exception_is_a_module_without_a_test_and_names_one_that_there_is(module: str) -> None:
    assert Path(module) in modules(), "this module is gone: take it off the table"
    assert not expected_test(Path(module)).exists(), "this module has its test: take it off the table"
    place, _, reason = TESTED_ELSEWHERE[module].partition(": ")
    assert reason
    assert Path(place).name.startswith("test_")
    assert (ROOT / place).is_file()


def test_every_unit_test_mirrors_a_module_or_says_what_it_is_of() -> None:
    tests = {path.relative_to(UNIT) for package in PACKAGES for path in (UNIT / package).rglob("test_*.py")}
    mirrored = {expected_test(module).relative_to(UNIT) for module in modules()}
    assert sorted(map(str, tests - mirrored)) == sorted(ACROSS_MODULES)


def test_no_room_holds_more_modules_than_one_can_survey() -> None:
    sizes = Counter(module.parent for module in modules())
    # `schemas` is one table beside the other, without rooms: what processes agree on is found by its name.
    assert {str(room): size for room, size in sizes.items() if size > ROOM_MAX and room != Path("schemas")} == {}
