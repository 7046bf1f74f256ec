from schemas.events import Quality
from workers.acoustic.markers import MARKERS, Condition
from workers.acoustic.reliability import fragile_markers

QUIET = Quality(speech_s=5.0, snr_db=40.0, clipped=0.0, bandwidth_hz=8000.0)


def moved_by(condition: Condition) -> set[str]:
    return {marker.name for marker in MARKERS if condition in marker.fragile}


def test_a_quiet_wide_recording_makes_nothing_fragile() -> None:
    assert fragile_markers(QUIET) == ()


def test_noise_and_telephone_name_what_they_move() -> None:
    noisy = Quality(5.0, 18.0, 0.0, 8000.0)
    narrow = Quality(5.0, 40.0, 0.0, 3600.0)
    both = Quality(5.0, 18.0, 0.0, 3600.0)
    assert set(fragile_markers(noisy)) == moved_by(Condition.NOISE) != set()
    assert set(fragile_markers(narrow)) == moved_by(Condition.TELEPHONE)
    assert set(fragile_markers(both)) == moved_by(Condition.NOISE) | moved_by(Condition.TELEPHONE)


def test_the_share_of_pauses_survives_every_condition() -> None:
    assert "pause_share" not in moved_by(Condition.NOISE) | moved_by(Condition.TELEPHONE)
