"""Wrong invocations of every command: one sentence with the remedy, an exit code, and nothing else.

Most are generated from the commands themselves, so that a new command or option is among them. They run in this
process; each must be refused before a library that takes long is loaded, so none may import one.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from schemas.errors import ExitCode
from streams.cli import application
from tests.commands import commands

COMMANDS = dict(commands(get_command(application.app)))
SLOW = ("tensorflow", "keras", "scipy", "sklearn", "opensmile", "librosa", "faust", "matplotlib", "transformers")
"""Libraries of which no wrong invocation may load one."""


def required(path: tuple[str, ...], place: Path) -> list[str]:
    """Arguments with which only what is added can be wrong."""
    good = {
        "paths": [str(place / "memo.wav")],
        "user": ["--user", "user-1"],
        "out": ["--out", str(place / "out")],
        "bundle": ["--bundle", str(place / "bundle")],
        "since": ["--since", "3d"],
        "before": ["--before", "2026-01"],
        "stage": ["acoustic"],
        "name": ["user-1"],
        "path": [str(place / "cohorts.csv")],
        "dead_letter_id": ["0a"],
    }
    return [word for each in COMMANDS[path].params if each.required for word in good.get(each.name, ["x"])]


def generated() -> Iterator[tuple[str, ...]]:
    """Wrong in form: unknown options and arguments, values that are missing, of another type, or not in the list."""
    for path, command in COMMANDS.items():
        yield (*path, "--no-such-option")
        yield (*path, "--no-such-option=1")
        if isinstance(command, TyperGroup):
            yield (*path, "no-such-command")
            yield (*path, "")
            continue
        if any(each.required for each in command.params):
            yield path
        if not any(each.nargs == -1 for each in command.params):
            yield (*path, "REQUIRED", "unexpected-argument")
        for each in command.params:
            if each.opts[0].startswith("--") and not getattr(each, "is_flag", False):
                yield (*path, "REQUIRED", each.opts[0])
                yield from ((*path, "REQUIRED", each.opts[0], bad) for bad in wrong_values(each))
            elif getattr(each, "is_flag", False):
                yield (*path, "REQUIRED", f"{each.opts[0]}=perhaps")


def wrong_values(option: Any) -> tuple[str, ...]:
    kind = str(option.type_descriptor.annotation)
    if "int" in kind:
        return ("abc", "1.5", "-1", "")
    if "float" in kind:
        return ("abc", "-1", "nan", "inf", "")
    if "datetime" in kind:
        return ("yesterday", "2026-13-01", "", "9999-12-31T23:59:59-12:00")
    if "timedelta" in kind:
        return ("3y", "-1d", "", "99999999999d")
    if "Literal" in kind or "Modality" in kind or option.name == "stage":
        return ("unknown", "", "ACOUSTIC ")
    if "Path" in kind or "File" in kind:
        return ("",)
    return ()


BY_HAND: tuple[tuple[str, ...], ...] = (
    ("score", "PLACE/nowhere.wav"),
    ("score", "PLACE/empty"),
    ("score", "PLACE/empty", "PLACE/nowhere.wav"),
    ("score", "PLACE/notes"),
    ("score", ""),
    ("score", "PLACE/memo.wav", "--modality", "unknown"),
    ("score", "--json"),
    ("transcribe", "PLACE/nowhere.wav"),
    ("transcribe", "PLACE/empty"),
    ("transcribe", "PLACE/memo.wav"),  # the shipped encoder has no CTC head
    ("transcribe", "PLACE/memo.wav", "--encoder", "PLACE/empty"),
    ("features", "PLACE/memo.wav"),
    ("features", "PLACE/nowhere.wav", "--out", "PLACE/x.npz"),
    ("features", "PLACE/empty", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--out", "PLACE/nowhere/x.npz"),
    ("features", "PLACE/memo.wav", "--out", "PLACE/x.csv"),
    ("features", "PLACE/memo.wav", "--out", "PLACE/empty"),
    ("features", "PLACE/memo.wav", "--out", "PLACE/memo.wav/x.npz"),
    ("features", "PLACE/memo.wav", "--out", "/proc/x.npz"),
    ("features", "PLACE/memo.wav", "--modality", "unknown", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--modality", "acoustic", "--frames", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--modality", "acoustic", "--encoder", "a/b", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--encoder", "PLACE/nowhere", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--encoder", "PLACE/empty", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--encoder", "a b", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--encoder", "", "--out", "PLACE/x.npz"),
    ("features", "PLACE/memo.wav", "--plot", "PLACE/x.doc"),
    ("features", "PLACE/memo.wav", "--plot", "PLACE/nowhere/x.png"),
    ("features", "PLACE/two", "--plot", "PLACE/x.png"),
    ("features", "PLACE/two", "PLACE/memo.wav", "--out", "PLACE/x.npz"),
    ("submit", "PLACE/memo.wav", "--user", ""),
    ("submit", "PLACE/memo.wav", "--user", "   "),
    ("submit", "PLACE/memo.wav", "--user", "u" * 129),
    ("submit", "PLACE/memo.wav", "--user", "two\nlines"),
    ("submit", "PLACE/nowhere.wav", "--user", "user-1"),
    ("submit", "PLACE/empty", "--user", "user-1"),
    ("submit", "PLACE/memo.wav", "--user", "user-1", "--recorded-at", "2100-01-01"),
    ("submit", "PLACE/memo.wav", "--user", "user-1", "--recorded-at", "1969-12-31"),
    ("alerts", "mute", "user-1"),
    ("alerts", "mute", "user-1", "--for", "1h", "--until", "2099-01-01"),
    ("alerts", "mute", "user-1", "--until", "2020-01-01"),
    ("alerts", "mute", "user-1", "--for", "0m"),
    ("alerts", "mute", "", "--for", "1h"),
    ("alerts", "mute", "", "--cohort", "--for", "1h"),
    ("alerts", "unmute", ""),
    ("drift", "calibrate", "--alerts-per-user-year", "0"),
    ("drift", "calibrate", "--memos-per-day", "0"),
    ("drift", "calibrate", "--autocorrelation", "0.9"),
    ("drift", "replay", "--alerts-per-user-year", "-0.5"),
    ("drift", "plot", "--user", ""),
    ("drift", "plot", "--user", "user-1", "--scores", "PLACE/nowhere.jsonl"),
    ("drift", "plot", "--user", "user-1", "--scores", "PLACE/empty"),
    ("drift", "plot", "--user", "user-1", "--out", "PLACE/x.doc"),
    ("drift", "plot", "--user", "user-1", "--out", "PLACE/memo.wav/x.png"),
    ("demo", "--picture", "PLACE/x.docx"),
    ("demo", "--picture", "/proc/x.png"),
    ("demo", "--picture", "PLACE/empty"),
    ("train", "--out", "PLACE/b"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/nowhere.csv"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/empty"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/notes.csv"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/memo.wav"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/notes.csv", "--daic-woz", "PLACE/empty"),
    ("train", "--out", "PLACE/b", "--daic-woz", "PLACE/memo.wav"),
    ("train", "--out", "PLACE/b", "--daic-woz", "PLACE/empty"),
    ("train", "--out", "PLACE/memo.wav", "--manifest", "PLACE/good.csv"),
    ("train", "--out", "PLACE/memo.wav/b", "--manifest", "PLACE/good.csv"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/good.csv", "--cache", "PLACE/memo.wav"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/good.csv", "--encoder", "PLACE/nowhere"),
    ("train", "--out", "PLACE/b", "--manifest", "PLACE/good.csv", "--seed", "-1"),
    ("evaluate", "--bundle", "PLACE/nowhere", "--manifest", "PLACE/good.csv"),
    ("evaluate", "--bundle", "PLACE/memo.wav", "--manifest", "PLACE/good.csv"),
    ("evaluate", "--bundle", "PLACE/empty", "--manifest", "PLACE/good.csv"),
    ("evaluate", "--bundle", "PLACE/half", "--manifest", "PLACE/good.csv"),
    ("evaluate", "--bundle", "BUNDLE"),
    ("evaluate", "--bundle", "BUNDLE", "--manifest", "PLACE/good.csv", "--report", "PLACE/memo.wav"),
    ("worker",),
    ("worker", "fusion"),
    ("worker", ""),
    ("bridge", "webhook", "--url", ""),
    ("bridge", "webhook", "--url", "ftp://alerts.example"),
    ("bridge", "webhook", "--url", "alerts.example:99999"),
    ("bridge", "slack", "--url", "hooks/T000/B000/secret"),
    ("bridge", "alertmanager", "--url", "http://a:9093,b:9093"),
    ("bridge", "alertmanager"),
    ("bridge", "slack"),
    ("bridge", "webhook"),
    ("dead-letters", "show", ""),
    ("dead-letters", "redrive", ""),
    ("dead-letters", "redrive", "0a", ""),
    ("dead-letters", "list", "--stage", "fusions"),
    ("dead-letters", "list", "--since", "2100-01-01"),
    ("dead-letters", "list", "--reason", ""),
    ("dead-letters", "redrive", "--since", "1960-01-01"),
    ("rescore", "--since", "2100-01-01"),
    ("rescore", "--since", "3d", "--until", "5d"),
    ("rescore", "--since", "3d", "--per-second", "0"),
    ("history", "cohorts", "PLACE/nowhere.csv"),
    ("history", "cohorts", "PLACE/empty"),
    ("history", "cohorts", "PLACE/good.csv"),
    ("keys", "destroy-epochs", "--before", "2026"),
    ("keys", "destroy-epochs", "--before", "2100-01"),
    ("keys", "destroy-epochs", "--before", "1999-12"),
    # Without a key directory:
    ("keys", "status"),
    ("keys", "rotate"),
    ("keys", "destroy-epochs", "--before", "2026-01"),
    # Without a broker:
    ("history",),
    ("history", "rebuild"),
    ("alerts",),
    ("alerts", "--once"),
    ("alerts", "mutes"),
    ("alerts", "mute", "user-1", "--for", "1h"),
    ("topics", "create"),
    ("topics", "describe"),
    ("dead-letters", "list"),
    ("dead-letters", "show", "0a"),
    ("rescore", "--since", "3d"),
    ("drift", "plot", "--user", "user-1", "--out", "PLACE/x.png"),
    ("submit", "PLACE/memo.wav", "--user", "user-1"),
)
WRONG = [*dict.fromkeys((*generated(), *BY_HAND))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and folders that invocations name."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("empty", "notes", "two", "half", "home"):
        (folder / name).mkdir()
    for name in ("memo.wav", "two/memo.wav", "two/other.wav"):
        (folder / name).write_bytes(b"RIFF")
    (folder / "notes" / "notes.txt").write_text("no audio")
    (folder / "notes.csv").write_text("no,manifest\n1,2\n")
    (folder / "cohorts.csv").write_text("user-1,ward\n")
    (folder / "good.csv").write_text("path,speaker,label\nmemo.wav,s,1\n")
    (folder / "half" / "manifest.json").write_text(json.dumps({"files": {"head.safetensors": "00"}}))
    return folder


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command in this process: its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    given, sys.argv = sys.argv, ["undertone", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            application.run()
    finally:
        sys.argv = given
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def filled(arguments: tuple[str, ...], place: Path) -> list[str]:
    from schemas.settings import SHIPPED_BUNDLE

    path = next(arguments[:n] for n in range(len(arguments), -1, -1) if arguments[:n] in COMMANDS)
    words: list[str] = []
    for word in arguments:
        words += required(path, place) if word == "REQUIRED" else [word]
    return [word.replace("PLACE", str(place)).replace("BUNDLE", str(SHIPPED_BUNDLE)) for word in words]


def test_there_are_many() -> None:
    assert len(WRONG) >= 200


@pytest.mark.parametrize("arguments", WRONG, ids=lambda words: " ".join(words)[:90].replace("\n", " "))
def test_a_wrong_invocation_is_refused_with_a_sentence_and_at_once(
    arguments: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*os.environ]:
        if name.startswith(("UNDERTONE_", "KAFKA_", "REDIS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERTONE_HOME", str(place / "home"))
    monkeypatch.chdir(place)
    before = set(sys.modules)
    code, out, err = run(*filled(arguments, place))
    lines = err.splitlines()
    assert code in {ExitCode.FAILED, ExitCode.USAGE, ExitCode.CONFIG, ExitCode.UNAVAILABLE}
    assert out == ""
    assert "Traceback" not in err
    assert lines[-1].startswith("undertone: ")
    assert len(lines[-1]) > len("undertone: ") + 20
    assert {name.partition(".")[0] for name in set(sys.modules) - before} & set(SLOW) == set()
