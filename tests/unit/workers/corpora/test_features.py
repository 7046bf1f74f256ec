"""From recordings to labelled features: parts of a recording, recordings that fail, and stages that are closed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.errors import ConfigurationError, Poison
from schemas.events import MemoFeatures, Modality
from schemas.pipeline import FeatureStage
from schemas.settings import Settings
from tests.audio_files import spoken
from tests.unit.workers.scoring.toys import ACOUSTIC, part
from workers.audio.memo import SAMPLING_RATE, Memo
from workers.corpora import features
from workers.corpora.feature_cache import Extraction
from workers.corpora.features import SampleRecording, examples_of, extractions, labelled_features
from workers.corpora.manifest import Sample

SETTINGS = Settings.load()
SPEECH = spoken(6.0)


@pytest.fixture
def recording(tmp_path: Path) -> Sample:
    soundfile.write(tmp_path / "speech.wav", SPEECH, SAMPLING_RATE, subtype="FLOAT")
    return Sample(tmp_path / "speech.wav", "ann", 1.0, place="line 2")


class Lengths:
    """A stage whose features are the length of the memo; closed once it is not needed."""

    name = "lengths"

    def __init__(self, *_: object) -> None:
        self.closed, self.extractors = False, {Modality.ACOUSTIC: ACOUSTIC}

    def process(self, batch: Sequence[Memo]) -> list[list[MemoFeatures] | Poison]:
        return [[part(Modality.ACOUSTIC, [memo.duration_s, 0, 0, 0])] for memo in batch]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> Lengths:
    """The only stage there is."""
    stage = Lengths()

    @contextmanager
    def only(*_: object) -> Iterator[list[Extraction]]:
        yield [Extraction(Modality.ACOUSTIC, stage, ACOUSTIC, 15.0)]

    monkeypatch.setattr(features, "extractions", only)
    return stage


def test_a_whole_recording_is_read_as_any_memo_is(recording: Sample) -> None:
    signal, quality = SampleRecording(recording, "digest", SETTINGS).read()
    np.testing.assert_allclose(signal, SPEECH, atol=1e-6)
    assert quality.speech_s > 3
    assert quality.reasons == ()


def test_spans_of_a_recording_are_joined_in_order(recording: Sample) -> None:
    spans = ((0.5, 2.0), (3.0, 4.25))
    signal, quality = SampleRecording(replace(recording, spans=spans), "digest", SETTINGS).read()
    whole, of_whole = SampleRecording(recording, "digest", SETTINGS).read()
    np.testing.assert_array_equal(signal, np.concatenate([whole[8000:32000], whole[48000:68000]]))
    assert quality.speech_s < of_whole.speech_s
    assert quality.bandwidth_hz <= of_whole.bandwidth_hz + 1
    assert quality.reasons == ()
    assert quality.bandwidth_hz > of_whole.bandwidth_hz / 2


def test_spans_past_the_end_of_a_recording_are_poison(recording: Sample) -> None:
    for spans in (((60.0, 90.0),), ((5.95, 90.0),)):
        with pytest.raises(Poison) as poison:
            SampleRecording(replace(recording, spans=spans), "digest", SETTINGS).read()
        assert poison.value.reason == "audio:too_short"
    enough = SampleRecording(replace(recording, spans=((5.9, 90.0),)), "digest", SETTINGS).read()[0]
    assert len(enough) == 0.1 * SAMPLING_RATE


def test_a_key_stands_for_content_spans_and_thresholds(recording: Sample) -> None:
    def key(sample: Sample = recording, digest: str = "digest", **settings: object) -> str:
        return SampleRecording(sample, digest, Settings.load(**settings)).key

    assert key() == key(replace(recording, speaker="bob", label=0.0))
    keys = {key(), key(digest="other"), key(replace(recording, spans=((0.0, 1.0),))), key(min_snr_db=1.0)}
    assert len(keys) == 4


def test_examples_keep_labels_speakers_and_times(recording: Sample) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    samples = [replace(recording, recorded_at=noon), replace(recording, speaker="bob", label=0.0)]
    examples = examples_of(samples, [{}, {}])
    assert examples.labels.tolist() == [1.0, 0.0]
    assert examples.speakers.tolist() == ["ann", "bob"]
    assert examples.times[0] == noon.timestamp()
    assert np.isnan(examples.times[1])


def test_recordings_that_fail_are_listed_by_reason_and_left_out(
    recording: Sample, lengths: Lengths, tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("no audio at all")
    broken = replace(recording, path=tmp_path / "text.wav", place="line 3")
    short = replace(recording, spans=((60.0, 90.0),), place="line 4")
    done: list[int] = []
    found = labelled_features(
        [broken, recording, short], ["1", "2", "3"], SETTINGS, [Modality.ACOUSTIC], None, done.append
    )
    assert [*found.kept] == [recording]
    assert found.examples.parts[0][Modality.ACOUSTIC].summary[0] == pytest.approx(6.0)
    assert {reason: [*places] for reason, places in found.failed.items()} == {
        "audio:undecodable": ["line 3"],
        "audio:too_short": ["line 4"],
    }
    assert found.extractors == {Modality.ACOUSTIC: ACOUSTIC}
    assert sum(done) == 3


def test_an_interview_is_longer_than_any_memo_may_be(recording: Sample, lengths: Lengths) -> None:
    strict = Settings.load(audio_max_s=2.0, audio_max_bytes=1000)
    found = labelled_features([recording], ["1"], strict, [Modality.ACOUSTIC], None)
    assert len(found.examples) == 1


def test_a_corpus_of_which_nothing_can_be_read_is_refused_with_the_reasons(
    recording: Sample, lengths: Lengths, tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("no audio at all")
    with pytest.raises(ConfigurationError, match="audio:undecodable"):
        labelled_features([replace(recording, path=tmp_path / "text.wav")], ["1"], SETTINGS, [Modality.ACOUSTIC], None)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Lengths]:
    """The acoustic stages that were made."""
    stages: list[Lengths] = []

    def make(settings: Settings, row: FeatureStage) -> Lengths:
        stages.append(Lengths())
        return stages[-1]

    monkeypatch.setattr(features, "make_stage", make)
    return stages


def test_only_the_stages_of_the_asked_modalities_are_made(made: list[Lengths]) -> None:
    with extractions(SETTINGS, []) as none:
        assert none == []
    with extractions(SETTINGS, [Modality.ACOUSTIC]) as (only,):
        assert (only.modality, only.stage, only.extractor) == (Modality.ACOUSTIC, made[0], ACOUSTIC)
        assert only.window_s == SETTINGS.window_s
        assert not made[0].closed
    assert [stage.closed for stage in made] == [True]


def test_stages_are_closed_after_an_error_too(made: list[Lengths]) -> None:
    def fail() -> None:
        with extractions(SETTINGS, [Modality.ACOUSTIC]):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [stage.closed for stage in made] == [True]
