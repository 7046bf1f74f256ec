"""The table of markers, held against what the benchmark measured."""

from pathlib import Path

from schemas.markers import MARKER, MARKER_NAMES, MARKERS, Condition

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "acoustic.md"
COLUMNS = {"telephone": Condition.TELEPHONE, "noise, 20 dB SNR": Condition.NOISE}
HARMLESS = ("+20 dB", "−20 dB", "mp3, 96 kbit/s", "opus")


def measured() -> dict[str, dict[str, float]]:
    """How far each condition moves each marker, in standard deviations between speakers."""
    table = RESULTS.read_text().split("## Robustness")[1].strip().split("\n\n")[0].splitlines()
    header, _, *rows = [[cell.strip(" *") for cell in line.split("|")] for line in table]
    return {row[0]: dict(zip(header[2:], map(float, row[2:]), strict=True)) for row in rows}


def test_the_benchmark_measured_every_marker_in_the_order_of_the_table() -> None:
    assert tuple(measured()) == MARKER_NAMES
    assert len(set(MARKER_NAMES)) == len(MARKERS)


def test_a_marker_is_fragile_where_a_recording_moves_it_by_more_than_speakers_differ() -> None:
    moves = measured()
    for marker in MARKERS:
        moved = {condition for column, condition in COLUMNS.items() if moves[marker.name][column] > 1}
        assert set(marker.fragile) == moved, marker.name


def test_gain_and_codecs_move_no_marker() -> None:
    assert all(moves[column] < 1 for moves in measured().values() for column in HARMLESS)


def test_every_marker_has_words_of_its_own_that_fit_into_a_sentence() -> None:
    words = [marker.words(sign) for marker in MARKERS for sign in (-2.0, 2.0)]
    assert len({*words}) == len(words) == 2 * len(MARKERS)
    assert all(each.endswith(" than usual") and each[0].islower() for each in words)
    assert len({marker.title for marker in MARKERS}) == len(MARKERS)
    assert all(marker.title[0].islower() for marker in MARKERS)


def test_a_deviation_chooses_the_words() -> None:
    assert MARKER["pause_share"].words(2.1) == "longer pauses than usual"
    assert MARKER["pause_share"].words(-2.1) == "shorter pauses than usual"


def test_values_are_shown_with_their_unit_but_for_shares() -> None:
    shown = {
        name: MARKER[name].shown(value) for name, value in [("pause_rate", 14.2), ("hnr", -1.04), ("jitter", 0.0213)]
    }
    assert shown == {"pause_rate": "14 per min", "hnr": "-1.0 dB", "jitter": "0.0213"}
