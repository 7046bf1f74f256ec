from schemas.markers import MARKERS, Condition
from workers.audio.marker_reliability import fragile_markers


def moved_by(condition: Condition) -> set[str]:
    return {marker.name for marker in MARKERS if condition in marker.fragile}


def test_a_quiet_wide_recording_makes_nothing_fragile() -> None:
    assert fragile_markers(snr_db=40.0, bandwidth_hz=8000.0) == ()


def test_noise_and_telephone_name_what_they_move() -> None:
    assert set(fragile_markers(18.0, 8000.0)) == moved_by(Condition.NOISE) != set()
    assert set(fragile_markers(40.0, 3600.0)) == moved_by(Condition.TELEPHONE) != set()
    assert set(fragile_markers(18.0, 3600.0)) == moved_by(Condition.NOISE) | moved_by(Condition.TELEPHONE)


def test_the_share_of_pauses_survives_every_condition() -> None:
    assert "pause_share" not in moved_by(Condition.NOISE) | moved_by(Condition.TELEPHONE)
