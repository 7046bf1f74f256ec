from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from streams.cli.models.train import TRAIN_HELP
from workers.corpora.manifest import chronological, read_manifest


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_manifest_names_recordings_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "audio/a.wav", "")
    manifest = write(
        tmp_path / "m.csv",
        "path,speaker,label,recorded_at,split,sex,age,extra\n"
        "audio/a.wav,ann,1,2026-01-02T10:00:00+02:00,train,f,44,x\n"
        "audio/a.wav,ann,0,2026-01-03,,,,\n",
    )
    first, second = read_manifest(manifest)
    assert (first.path, first.label, first.split) == (tmp_path / "audio/a.wav", 1.0, "train")
    assert first.groups == {"sex": "f", "age": "44"}
    assert first.recorded_at is not None
    assert first.recorded_at.isoformat() == "2026-01-02T10:00:00+02:00"
    assert second.recorded_at is not None
    assert second.recorded_at.isoformat() == "2026-01-03T00:00:00+00:00"


def test_the_example_of_the_command_s_help_is_a_manifest(tmp_path: Path) -> None:
    _, _, example = TRAIN_HELP.split("\b\n")
    rows = example.split("\n\n")[0]
    for path in ("anna/monday.wav", "anna/friday.wav"):
        write(tmp_path / path, "")
    samples = read_manifest(write(tmp_path / "m.csv", rows))
    assert [(sample.speaker, sample.label) for sample in samples] == [("anna", 0.0), ("anna", 1.0)]
    assert all(sample.recorded_at for sample in samples)


def test_paths_may_be_relative_to_the_working_directory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "audio/a.wav", "")
    manifest = write(tmp_path / "lists/m.csv", "path,speaker,label\naudio/a.wav,ann,1\n")
    with pytest.raises(ConfigurationError, match=r"line 2 .* relative to the manifest"):
        read_manifest(manifest)
    monkeypatch.chdir(tmp_path)
    assert read_manifest(manifest)[0].path.samefile(tmp_path / "audio/a.wav")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("path,speaker\n", "no column 'label'; .*path,speaker,label, and optionally recorded_at,split,sex,age,corpus"),
        ("path\n", "no column 'speaker' and no column 'label'"),
        ("path;speaker;label\n", "commas between"),
        ("path,speaker,label\n", "no recording"),
        ("path,speaker,label\na.wav,,1\n", "line 2"),
        ("path,speaker,label\na.wav,ann,1\nb.wav,ann,0\n", "line 3 .* does not exist"),
        ("path,speaker,label\na.wav,ann,sad\n", "line 2 .* label"),
        ("path,speaker,label\na.wav,ann,2\n", "line 2 .* label"),
        ("path,speaker,label,recorded_at\na.wav,ann,1,yesterday\n", "line 2 .* ISO 8601"),
        ("path,speaker,label,split\na.wav,ann,1,Test\na.wav,ann,1,holdout\n", "line 3 .* train, dev, test"),
    ],
)
def test_a_faulty_manifest_is_refused_where_it_is_at_fault(tmp_path: Path, text: str, named: str) -> None:
    write(tmp_path / "a.wav", "")
    with pytest.raises(ConfigurationError, match=named):
        read_manifest(write(tmp_path / "m.csv", text))


def test_a_chronological_split_holds_back_everyone_s_last_memos(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", "")
    days = [3, 1, 2, 4, 1, 2, 3, 4]
    rows = [f"a.wav,{'ann' if i < 4 else 'bob'},0,2026-01-0{day}" for i, day in enumerate(days)]
    samples = read_manifest(write(tmp_path / "m.csv", "path,speaker,label,recorded_at\n" + "\n".join(rows)))
    assert chronological(samples, 0.5) == ([1, 2, 4, 5], [0, 3, 6, 7])
