from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from workers.corpora.daic_woz import pieces, read_daic_woz
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
        ("path,speaker\n", "no column 'label'"),
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


def test_pieces_are_as_long_as_memos() -> None:
    turns = [(float(t), t + 8.0) for t in range(0, 200, 10)]
    found = pieces(turns)
    assert [turn for piece in found for turn in piece] == turns
    assert all(sum(e - s for s, e in piece) >= 30 for piece in found)
    long = pieces([(0.0, 100.0)])
    assert [piece[0] for piece in long] == [(0.0, 30.0), (30.0, 60.0), (60.0, 100.0)][: len(long)]


def woz(folder: Path, number: int, lines: list[str]) -> None:
    write(folder / f"{number}_P/{number}_AUDIO.wav", "")
    write(
        folder / f"{number}_P/{number}_TRANSCRIPT.csv",
        "start_time\tstop_time\tspeaker\tvalue\n" + "\n".join(lines) + "\n",
    )


def turn(start: float, end: float, speaker: str = "Participant", value: str = 'so "yes') -> str:
    return f"{start}\t{end}\t{speaker}\t{value}"


@pytest.fixture
def daic(tmp_path: Path) -> Path:
    head = "Participant_ID,PHQ8_Binary,PHQ8_Score,Gender,PHQ8_NoInterest\n"
    write(tmp_path / "train_split_Depression_AVEC2017.csv", head + "303,0,0,0,0\n409,0,10,1,1\n342,1,20,0,0\n")
    write(tmp_path / "dev_split_Depression_AVEC2017.csv", head + "373,1,15,1,2\n451,0,4,0,0\n")
    write(tmp_path / "test_split_Depression_AVEC2017.csv", "participant_ID,Gender\n300,1\n")
    write(tmp_path / "full_test_split.csv", "Participant_ID,PHQ_Binary,PHQ_Score,Gender\n300,0,2,1\n")
    woz(tmp_path, 303, [turn(0, 5, "Ellie"), turn(6, 20), turn(21, 40, value="scrubbed_entry"), turn(41, 60)])
    woz(tmp_path, 409, [turn(0, 12)])
    woz(tmp_path, 373, [turn(380, 400), turn(400, 420), turn(425, 440)])
    woz(tmp_path, 451, [turn(1, 30), "", turn(31, 50), "broken line"])
    woz(tmp_path, 300, [turn(5, 25)])
    return tmp_path


def test_daic_woz_gives_the_participant_s_own_turns(daic: Path) -> None:
    found = {sample.speaker: sample for sample in read_daic_woz(daic)}
    assert found["303"].spans == ((6.0, 20.0), (41.0, 60.0))
    assert found["451"].spans == ((1.0, 30.0), (31.0, 50.0))
    assert found["373"].spans == ((380.0, 395.0), (428.0, 440.0))
    assert {s: found[s].split for s in found} == {
        "303": "train",
        "409": "train",
        "373": "dev",
        "451": "dev",
        "300": "test",
    }
    assert found["303"].groups == {"corpus": "daic-woz", "sex": "m"}
    assert found["409"].groups["sex"] == "f"


def test_daic_woz_labels_follow_the_score(daic: Path) -> None:
    assert {s.speaker: s.label for s in read_daic_woz(daic)} == {"303": 0, "409": 1, "373": 1, "451": 0, "300": 0}


def test_a_session_that_is_not_there_is_named(daic: Path) -> None:
    (daic / "303_P/303_TRANSCRIPT.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"303 of the train split lacks its TRANSCRIPT"):
        read_daic_woz(daic)


def test_e_daic_transcripts_hold_the_participant_alone(tmp_path: Path) -> None:
    write(tmp_path / "train_split.csv", "Participant_ID,Gender,PHQ_Binary,PHQ_Score\n600,female,1,14\n")
    write(tmp_path / "600_P/600_AUDIO.wav", "")
    write(
        tmp_path / "600_P/600_Transcript.csv",
        'Start_Time,End_Time,Text,Confidence\n1.0,9.0,"well, yes",0.9\n12.0,30.0,no,0.8\n',
    )
    (sample,) = read_daic_woz(tmp_path)
    assert (sample.speaker, sample.label, sample.split) == ("600", 1.0, "train")
    assert sample.spans == ((1.0, 9.0), (12.0, 30.0))
    assert sample.groups == {"corpus": "e-daic", "sex": "f"}


def test_a_folder_without_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no labelled split"):
        read_daic_woz(tmp_path)
