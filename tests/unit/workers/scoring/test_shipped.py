"""The bundle that lies in the tree is whole, small, and trained on what the workers make today."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.events import FloatArray, MemoFeatures, Modality
from schemas.markers import MARKER_NAMES
from schemas.settings import SHIPPED_BUNDLE, Settings
from tests.audio_files import ffmpeg, sndfile
from tests.unit.workers.scoring.toys import GOOD, NOON
from workers.acoustic.extraction import extract, extractor
from workers.acoustic.feature_names import FEATURE_NAMES
from workers.audio.load import load_bytes
from workers.audio.memo import SAMPLING_RATE
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import PersonalNormal, deviations, normal_of
from workers.scoring.scorer import Scored, Scorer, logits
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import speak
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.stage import extractor_of


def test_it_says_what_it_is_and_stays_small() -> None:
    bundle = Bundle.load(SHIPPED_BUNDLE)
    assert bundle.id.startswith("demo-")
    card = (SHIPPED_BUNDLE / "README.md").read_text()
    assert bundle.id in card
    assert "simulated voices only" in card
    assert sum(path.stat().st_size for path in SHIPPED_BUNDLE.rglob("*") if path.is_file()) < 5_000_000


def test_it_scores_what_the_workers_make_today() -> None:
    wanted = Bundle.load(SHIPPED_BUNDLE).space.extractors
    assert wanted[Modality.ACOUSTIC] == extractor(), "the markers changed: python -m workers.training.demo_bundle"
    source = Bundle.load(SHIPPED_BUNDLE).encoder_source
    assert source is not None
    assert wanted[Modality.EMBEDDING] == extractor_of(checkpoint.load(source))


def test_usual_ranges_are_those_of_most_of_its_population_and_missing_where_people_differ_too_much() -> None:
    ranges = Bundle.load(SHIPPED_BUNDLE).usual_ranges()
    assert set(ranges) < set(MARKER_NAMES)
    assert "pitch_median" not in ranges
    assert 0.05 < ranges["pause_share"][0] < ranges["pause_share"][1] < 0.4
    assert all(low < high for low, high in ranges.values())


def test_a_planted_change_of_pauses_is_the_first_evidence() -> None:
    """Five usual memos of a simulated voice, then one with a quarter more of its time in pauses."""
    bundle = Bundle.load(SHIPPED_BUNDLE)
    users, calm = 5, 5
    for user in range(users):
        rng = np.random.default_rng([78, user])
        voice = random_voice(rng)
        days = [voice_at(voice, 0.1, rng) for _ in range(calm + 1)]
        days[-1] = replace(days[-1], pause_share=days[-1].pause_share + 0.25)
        memos = [{Modality.ACOUSTIC: heard(speak(day, 9.0, rng)[0])} for day in days]
        normal = normal_of(np.stack([bundle.space.vector(memo) for memo in memos[:calm]]))
        (scored,) = Scorer(bundle).score([(memos[calm], normal)])
        assert isinstance(scored, Scored)
        assert scored.evidence[0].name.startswith("pause_")


def heard(signal: FloatArray) -> MemoFeatures:
    """The acoustic part of a memo, as the worker makes it."""
    found = extract(signal)
    return MemoFeatures(
        memo_id="m",
        user_id="u",
        recorded_at=NOON,
        uploaded_at=NOON,
        modality=Modality.ACOUSTIC,
        extractor=extractor(),
        duration_s=len(signal) / SAMPLING_RATE,
        window_s=15.0,
        windows=found.windows,
        summary=found.summary,
        names=FEATURE_NAMES,
        quality=GOOD,
    )


@pytest.mark.shared
def test_a_clip_encoded_anew_keeps_its_acoustic_score(shared: Path) -> None:
    bundle = Bundle.load(SHIPPED_BUNDLE)
    place = [FEATURE_NAMES.index(name) for name in bundle.space.acoustic]

    def probability(data: bytes) -> float:
        signal, _ = load_bytes(data, Settings.load())
        vector = np.full(len(bundle.names), np.nan, np.float32)
        vector[: len(place)] = extract(signal).summary[place]
        away = deviations(PersonalNormal.empty(len(bundle.names)), bundle.population, vector[None])
        return float(logits(bundle, away, [{}], np.array([False])).probability[0])

    # Among these are the clips that moved most when the head still heard the range of pitch.
    for name in ("16b01Tb", "16a05Tb", "14b09Td", "13b03Td"):
        signal, _ = soundfile.read(shared / "audio" / "emodb" / f"{name}.flac", dtype="float32")
        original = probability(sndfile(signal))
        for again in (
            ffmpeg(signal, container="ipod", codec="aac"),
            ffmpeg(signal, container="ogg", codec="libopus"),
            ffmpeg(signal, container="mp3", codec="libmp3lame"),
            sndfile(signal, subtype="PCM_24", rate=48000, channels=2),
        ):
            assert abs(probability(again) - original) < 0.1
