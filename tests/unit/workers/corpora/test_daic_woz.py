"""DAIC-WOZ and E-DAIC as distributed, with the errors that they are known for."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from workers.corpora.daic_woz import PIECE_S, SHORTEST_PIECE_S, Span, pieces, read_daic_woz


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_pieces_are_as_long_as_memos() -> None:
    turns = [(float(t), t + 8.0) for t in range(0, 200, 10)]
    found = pieces(turns)
    assert [turn for piece in found for turn in piece] == turns
    assert all(sum(e - s for s, e in piece) >= 30 for piece in found)
    assert pieces([(0.0, 100.0)]) == [((0.0, 30.0),), ((30.0, 60.0),), ((60.0, 100.0),)]


def seconds(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 20)), max_size=12))
def test_pieces_hold_all_speech_once_and_in_order(turns_and_gaps: list[tuple[int, int]]) -> None:
    turns, at = [], 0.0
    for length, gap in turns_and_gaps:
        turns.append((at, at + length))
        at += length + gap
    found = pieces(turns)
    spans = [span for piece in found for span in piece]
    assert spans == sorted(spans)
    assert seconds(spans) == seconds(turns)
    assert all(seconds(piece) >= PIECE_S for piece in found[:-1])
    assert all(seconds(piece) < 3 * PIECE_S + SHORTEST_PIECE_S for piece in found)
    assert len(found) < 2 or seconds(found[-1]) >= SHORTEST_PIECE_S


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


def test_an_interruption_is_cut_out_of_a_turn(daic: Path) -> None:
    woz(daic, 373, [turn(390, 430), turn(500, 520)])
    spans = [span for sample in read_daic_woz(daic) if sample.speaker == "373" for span in sample.spans]
    assert spans == [(390.0, 395.0), (428.0, 430.0), (500.0, 520.0)]


def test_without_a_score_the_label_counts(tmp_path: Path) -> None:
    write(tmp_path / "train_split.csv", "Participant_ID,Gender,PHQ_Binary,PHQ_Score\n600,,1,\n601,,0,\n")
    for number in (600, 601):
        write(tmp_path / f"data/{number}_P/{number}_AUDIO.wav", "")
        write(tmp_path / f"data/{number}_P/{number}_Transcript.csv", "Start_Time,End_Time,Text\n1.0,9.0,yes\n")
    assert [(s.speaker, s.label, s.groups) for s in read_daic_woz(tmp_path)] == [
        ("600", 1.0, {"corpus": "e-daic"}),
        ("601", 0.0, {"corpus": "e-daic"}),
    ]


@pytest.mark.parametrize("row", ["600,1,,", "600,1,,often", "600,1,high,"])
def test_a_row_without_a_label_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    write(tmp_path / "dev_split.csv", f"Participant_ID,Gender,PHQ_Binary,PHQ_Score\n{row}\n")
    with pytest.raises(ConfigurationError, match=r"line 2 .*dev_split\.csv"):
        read_daic_woz(tmp_path)
