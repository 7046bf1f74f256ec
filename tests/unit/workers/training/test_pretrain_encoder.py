"""Pre-training: targets that lie on the encoder's frames, spans that are hidden, and a loss that counts them."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from keras import ops
from scipy import special

from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import LAYER
from workers.audio.memo import SAMPLING_RATE
from workers.training import pretrain_encoder
from workers.training.pretrain_encoder import (
    BATCH,
    COEFFICIENTS,
    CONFIG,
    CROP_S,
    PEAK_RATE,
    SPAN,
    VISIBLE_WEIGHT,
    WARM_UP,
    Clip,
    MaskedPrediction,
    batches,
    clustered,
    hidden_spans,
    learning_rate,
    mfccs,
    read_speech,
    simulated_speech,
)
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.encoder import Encoder

RNG = np.random.default_rng(5)
FRAMES = CONFIG.frames(round(CROP_S * SAMPLING_RATE))
SAMPLES = (FRAMES - 1) * CONFIG.hop + CONFIG.receptive_field


def noise(seconds: float) -> FloatArray:
    return (0.1 * RNG.normal(size=round(seconds * SAMPLING_RATE))).astype(np.float32)


def clip(seconds: float, offset: int = 0) -> Clip:
    """Samples that are their own number, and targets that are the number of their frame."""
    samples = round(seconds * SAMPLING_RATE)
    numbers = np.arange(samples, dtype=np.float32) + offset
    return Clip(numbers, np.arange(CONFIG.frames(samples), dtype=np.int32) + offset)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.37])
def test_every_frame_of_the_encoder_has_coefficients(seconds: float) -> None:
    signal = noise(seconds)
    found = mfccs(signal, CONFIG)
    assert found.shape == (CONFIG.frames(len(signal)), 3 * COEFFICIENTS)
    assert found.dtype == np.float32


def test_coefficients_of_a_frame_are_of_the_samples_that_it_sees() -> None:
    signal = noise(1.0)
    changed = signal.copy()
    changed[20 * CONFIG.hop : 20 * CONFIG.hop + CONFIG.receptive_field] *= 5
    moved = np.flatnonzero((mfccs(signal, CONFIG) != mfccs(changed, CONFIG))[:, :COEFFICIENTS].any(axis=1))
    assert 20 in moved
    assert {*moved} <= {19, 20, 21}, "windows of neighbouring frames overlap by a few samples"


def test_clips_are_normalised_and_like_frames_share_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_encoder, "CLUSTERS", 2)
    t = np.arange(SAMPLING_RATE) / SAMPLING_RATE
    low, high = (0.3 * np.sin(2 * np.pi * hertz * t).astype(np.float32) + 0.05 for hertz in (200, 3000))
    one, both = clustered([low, np.concatenate([low, high])], CONFIG, seed=1)
    for found in (one, both):
        assert found.signal.mean() == pytest.approx(0, abs=1e-5)
        assert found.signal.std() == pytest.approx(1, rel=1e-3)
        assert len(found.targets) == CONFIG.frames(len(found.signal))
    assert len({*both.targets[5:40]} | {*one.targets[5:40]}) == 1
    assert {*both.targets[60:95]} != {*both.targets[5:40]}


def test_crops_are_as_long_as_asked_and_keep_targets_with_their_samples() -> None:
    signals, hidden, targets = next(batches([clip(6.0)], CONFIG, np.random.default_rng(1)))
    assert signals.shape == (BATCH, SAMPLES)
    assert hidden.shape == targets.shape == (BATCH, FRAMES)
    np.testing.assert_array_equal(signals[:, 0], targets[:, 0] * CONFIG.hop)
    assert (np.diff(targets, axis=1) == 1).all()
    assert len({*targets[:, 0]}) > 1, "each crop begins elsewhere"


def test_a_crop_may_end_with_the_clip() -> None:
    exactly = clip(SAMPLES / SAMPLING_RATE)
    assert len(exactly.signal) == SAMPLES
    signals, _, targets = next(batches([exactly], CONFIG, np.random.default_rng(1)))
    assert targets[0, -1] == len(exactly.targets) - 1
    assert signals[0, -1] == SAMPLES - 1


def test_longer_clips_come_more_often_and_those_that_are_too_short_never() -> None:
    long, short, too_short = clip(30.0), clip(5.0, offset=1_000_000), clip(2.0, offset=2_000_000)
    drawn = [
        signals[:, 0] >= 1_000_000
        for signals, *_ in islice(batches([long, short, too_short], CONFIG, np.random.default_rng(2)), 40)
    ]
    assert np.mean(drawn) == pytest.approx(5 / 35, abs=0.06)
    firsts = [signals[:, 0].max() for signals, *_ in islice(batches([short, too_short], CONFIG, RNG), 5)]
    assert max(firsts) < 2_000_000


def test_spans_are_hidden_whole_in_every_row_and_half_of_all_frames() -> None:
    hidden = hidden_spans(200, 199, np.random.default_rng(3))
    assert {*np.unique(hidden)} == {0.0, 1.0}
    assert hidden.any(axis=1).all()
    assert 0.4 < hidden.mean() < 0.55
    for row in hidden.astype(bool):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
        lengths = edges[1::2] - edges[::2]
        assert lengths[:-1].min(initial=SPAN) >= SPAN, "only the last may be cut by the end"


def test_a_row_that_draws_nothing_has_one_span_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_encoder, "SPAN_STARTS", 0.0)
    assert (hidden_spans(50, 100, np.random.default_rng(4)).sum(axis=1) >= 1).all()


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    shares = np.linspace(0, 1, 101)
    rates = np.array([learning_rate(share) for share in shares])
    assert rates[0] == 0
    assert learning_rate(WARM_UP) == pytest.approx(PEAK_RATE)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert (np.diff(rates[shares <= WARM_UP]) > 0).all()
    assert (np.diff(rates[shares >= WARM_UP]) < 0).all()
    assert learning_rate(1.2) == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def prediction() -> MaskedPrediction:
    """A small encoder that guesses among four clusters."""
    keras.utils.set_random_seed(1)
    return MaskedPrediction(Encoder(EncoderConfig(**asdict(LAYER) | {"num_hidden_layers": 1})), 4)


def masked(prediction: MaskedPrediction, hidden: FloatArray, targets: np.ndarray, signal: FloatArray) -> list[float]:
    loss, right = prediction(signal, hidden, targets.astype(np.int32))
    return [float(ops.convert_to_numpy(ops.copy(value))) for value in (loss, right)]


def test_the_loss_is_the_mean_over_frames_of_which_visible_ones_weigh_less(prediction: MaskedPrediction) -> None:
    signal, frames = noise(0.5)[None], LAYER.frames(SAMPLING_RATE // 2)
    hidden = np.zeros((1, frames), np.float32)
    hidden[:, 5:15] = 1.0
    targets = RNG.integers(4, size=(1, frames))
    features = prediction.encoder.features(signal, np.array([len(signal[0])], np.int32))
    covered = np.where(hidden[..., None] > 0, ops.convert_to_numpy(ops.copy(prediction.hidden)), features)
    logits = prediction.guess(prediction.encoder.contextualise(covered, np.ones((1, frames, 1), np.float32)))
    likelihood = special.softmax(ops.convert_to_numpy(logits)[0], axis=-1)[np.arange(frames), targets[0]]
    expected = np.average(-np.log(likelihood), weights=np.where(hidden[0] > 0, 1.0, VISIBLE_WEIGHT))
    assert masked(prediction, hidden, targets, signal)[0] == pytest.approx(expected, rel=1e-4)


def test_guesses_are_counted_on_hidden_frames_alone(prediction: MaskedPrediction) -> None:
    signal, frames = noise(0.5)[None], LAYER.frames(SAMPLING_RATE // 2)
    hidden = np.zeros((1, frames), np.float32)
    hidden[:, 5:15] = 1.0
    shares = [masked(prediction, hidden, np.full((1, frames), target), signal)[1] for target in range(4)]
    assert sum(shares) == pytest.approx(1.0), "each hidden frame is guessed to be of one cluster"
    everywhere = np.full((1, frames), int(np.argmax(shares)))
    elsewhere = everywhere.copy()
    elsewhere[:, 15:] = (everywhere[0, 0] + 1) % 4
    assert masked(prediction, hidden, elsewhere, signal)[1] == masked(prediction, hidden, everywhere, signal)[1]


def test_what_is_hidden_cannot_be_seen(prediction: MaskedPrediction) -> None:
    frames = LAYER.frames(SAMPLING_RATE // 2)
    hidden, targets = np.ones((1, frames), np.float32), np.zeros((1, frames), int)
    one, other = (masked(prediction, hidden, targets, noise(0.5)[None]) for _ in range(2))
    assert one == pytest.approx(other, abs=1e-5)


def test_speech_is_read_and_moods_are_not(tmp_path: Path) -> None:
    rows = ["path,corpus"]
    for name, corpus in (("a.flac", "librispeech"), ("b.flac", "emodb"), ("c.flac", "librispeech")):
        soundfile.write(tmp_path / name, noise(0.1), SAMPLING_RATE)
        rows.append(f"{name},{corpus}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    signals = read_speech(tmp_path)
    assert [len(signal) for signal in signals] == [1600, 1600]
    assert {signal.dtype for signal in signals} == {np.dtype(np.float32)}


def test_simulated_speakers_are_heard_once_each() -> None:
    signals = simulated_speech(3, np.random.default_rng(6))
    assert all(6.0 <= len(signal) / SAMPLING_RATE <= 12.0 for signal in signals)
    assert not np.array_equal(signals[0][:1000], signals[1][:1000])
