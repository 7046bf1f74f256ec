"""Pretrain the demonstration's small encoder without labels: predict the cluster of masked frames.

    python -m workers.training.pretrain_encoder --audio FOLDER --out FOLDER [--minutes 20]

The first iteration of HuBERT (Hsu et al. 2021, arXiv:2106.07447) at a small scale: MFCCs with their first and second
differences are clustered by k-means, spans of frames are masked after the convolutions, and the network predicts the
cluster of each. The training data are read speech and simulated voices, never emotional recordings.
"""

import argparse
import csv
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import librosa
import numpy as np
import soundfile
from keras import ops
from numpy.typing import NDArray
from rich.console import Console
from sklearn.cluster import MiniBatchKMeans

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.evaluation.linear_probe import speaker_disjoint_auc
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import speak
from workers.wav2vec2 import checkpoint, compilation
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.embedder import Embedder
from workers.wav2vec2.encoder import Encoder
from workers.wav2vec2.layers import Tensor, dense

CONSOLE = Console()
CONFIG = EncoderConfig(
    hidden_size=128,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=512,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    conv_dim=(32, 32, 64, 64, 128, 128, 128),
    num_conv_pos_embeddings=64,
    num_conv_pos_embedding_groups=8,
)
CROP_S = 4.0
BATCH = 8
CLUSTERS = 100
COEFFICIENTS = 13
SPAN = 10
"""Frames masked together."""
SPAN_STARTS = 0.065
"""Probability that a frame starts a masked span; about half of all frames are masked."""
PEAK_RATE = 1e-3
WARM_UP = 0.08
"""Share of the training during which the learning rate rises; then it decays to zero along a cosine."""
VISIBLE_WEIGHT = 0.3
"""Loss weight of unmasked frames; HuBERT gives them none, but with little data they train the convolutions sooner."""
SYNTHETIC_CLIPS = 120


@dataclass(frozen=True, slots=True)
class Clip:
    """A normalised signal and the cluster of each of its frames."""

    signal: FloatArray
    targets: NDArray[np.int32]


class MaskedPrediction(keras.layers.Layer):
    """The encoder with masked input, and the loss of its predictions."""

    def __init__(self, encoder: Encoder, clusters: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden = self.add_weight(shape=(encoder.config.hidden_size,), initializer="random_normal", name="hidden")
        self.guess = dense(encoder.config.hidden_size, clusters, "float32")
        self.built = True

    def call(self, signals: Tensor, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, and share of masked frames predicted correctly.

        signals: (n, samples); hidden: (n, frames) float32, 1.0 where a frame is masked; targets: (n, frames) int32.
        """
        lengths = ops.full((signals.shape[0],), signals.shape[1], dtype="int32")
        features = self.encoder.features(signals, lengths)
        masked = ops.expand_dims(hidden, -1)
        features = features * (1.0 - masked) + self.hidden * masked
        logits = self.guess(self.encoder.contextualise(features, ops.ones_like(masked)))
        losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        weights = hidden + VISIBLE_WEIGHT * (1.0 - hidden)
        right = ops.cast(ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), targets), "float32")
        return ops.sum(losses * weights) / ops.sum(weights), ops.sum(right * hidden) / ops.sum(hidden)


def read_speech(folder: Path) -> list[FloatArray]:
    """The LibriSpeech clips in the folder's `manifest.csv`."""
    with (folder / "manifest.csv").open(encoding="utf-8") as stream:
        names = [row["path"] for row in csv.DictReader(stream) if row["corpus"] == "librispeech"]
    return [soundfile.read(folder / name, dtype="float32")[0] for name in names]


def simulated_speech(clips: int, rng: np.random.Generator) -> list[FloatArray]:
    """Simulated voices of every severity, one clip per speaker."""
    return [
        speak(voice_at(random_voice(rng), float(rng.uniform()), rng), float(rng.uniform(6.0, 12.0)), rng)[0]
        for _ in range(clips)
    ]


def mfccs(signal: FloatArray, config: EncoderConfig) -> FloatArray:
    """(frames, 3 × COEFFICIENTS): MFCCs and two differences, on the same samples as the encoder's frames."""
    static = librosa.feature.mfcc(
        y=signal,
        sr=SAMPLING_RATE,
        n_mfcc=COEFFICIENTS,
        n_fft=config.receptive_field,
        hop_length=config.hop,
        n_mels=40,
        center=False,
    )
    moving = [librosa.feature.delta(static, width=5, order=order) for order in (1, 2)]
    return np.concatenate([static, *moving]).T.astype(np.float32)


def clustered(signals: Sequence[FloatArray], config: EncoderConfig, seed: int) -> list[Clip]:
    """Each signal, normalised, with the k-means cluster of every frame."""
    normalised = [(signal - signal.mean()) / np.sqrt(signal.var() + 1e-7) for signal in signals]
    features = [mfccs(signal, config) for signal in normalised]
    stacked = np.concatenate(features)
    mean, deviation = stacked.mean(axis=0), stacked.std(axis=0)
    clusters = MiniBatchKMeans(CLUSTERS, batch_size=4096, n_init=3, random_state=seed).fit((stacked - mean) / deviation)
    return [
        Clip(signal, clusters.predict((feature - mean) / deviation).astype(np.int32))
        for signal, feature in zip(normalised, features, strict=True)
    ]


def batches(
    clips: Sequence[Clip], config: EncoderConfig, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, FloatArray, NDArray[np.int32]]]:
    """Endless random crops: signals (n, samples), hidden (n, frames), targets (n, frames); longer clips more often."""
    frames = config.frames(round(CROP_S * SAMPLING_RATE))
    samples = (frames - 1) * config.hop + config.receptive_field
    usable = [clip for clip in clips if len(clip.signal) >= samples]
    weights = np.array([len(clip.signal) for clip in usable], np.float64)
    while True:
        signals, targets = [], []
        for pick in rng.choice(len(usable), BATCH, p=weights / weights.sum()):
            first = int(rng.integers(len(usable[pick].targets) - frames + 1))
            signals.append(usable[pick].signal[first * config.hop : first * config.hop + samples])
            targets.append(usable[pick].targets[first : first + frames])
        yield np.stack(signals), hidden_spans(BATCH, frames, rng), np.stack(targets)


def hidden_spans(rows: int, frames: int, rng: np.random.Generator) -> FloatArray:
    """(rows, frames) float32: 1.0 in spans of SPAN frames with random starts, at least one per row."""
    hidden = np.zeros((rows, frames), np.float32)
    starts = rng.random((rows, frames)) < SPAN_STARTS
    starts[np.arange(rows), rng.integers(frames, size=rows)] = True
    for row, start in zip(*np.nonzero(starts), strict=True):
        hidden[row, start : start + SPAN] = 1.0
    return hidden


def learning_rate(share: float) -> float:
    """Learning rate after this share (0 to 1) of the training."""
    if share < WARM_UP:
        return PEAK_RATE * share / WARM_UP
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * min((share - WARM_UP) / (1 - WARM_UP), 1.0)))


def train(clips: Sequence[Clip], minutes: float, seed: int) -> Encoder:
    """Train an encoder for `minutes` on the TensorFlow backend; prints the accuracy on masked frames."""
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    model = MaskedPrediction(Encoder(CONFIG), CLUSTERS)
    optimizer = keras.optimizers.AdamW(1e-9, weight_decay=0.01, beta_2=0.98, clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step(signals: Tensor, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            loss, right = model(signals, hidden, targets)
        optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]), model.trainable_variables)
        return loss, right

    begin, shown = time.monotonic(), 0.0
    for number, batch in enumerate(batches(clips, CONFIG, np.random.default_rng(seed))):
        share = (time.monotonic() - begin) / (60 * minutes)
        if share >= 1:
            break
        optimizer.learning_rate.assign(learning_rate(share))
        loss, right = step(*map(tf.constant, batch))
        if share - shown > 0.02:
            shown = share
            CONSOLE.print(
                f"{share:5.0%}  step {number}  loss {float(loss):.3f}  masked frames correct {float(right):.1%}"
            )
    return model.encoder


def main() -> None:
    """Read, cluster, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--audio", type=Path, required=True, help="folder with manifest.csv that lists LibriSpeech clips"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=0, help="threads per operation; 0 uses all cores")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    compilation.configure(options.threads, memory_growth=True)
    signals = read_speech(options.audio) + simulated_speech(SYNTHETIC_CLIPS, np.random.default_rng(options.seed))
    CONSOLE.print(f"{len(signals)} clips, {sum(map(len, signals)) / SAMPLING_RATE / 60:.0f} minutes")
    clips = clustered(signals, CONFIG, options.seed)
    checkpoint.save(options.out, CONFIG, train(clips, options.minutes, options.seed).weights_by_name())
    keras.utils.set_random_seed(options.seed)
    checkpoint.save(options.out / "untrained", CONFIG, Encoder(CONFIG).weights_by_name())
    for name, area in probes(options.audio, options.out).items():
        CONSOLE.print(f"sadness against neutral, held-out speakers, {name}: AUC {area:.3f}")


def probes(audio: Path, trained: Path) -> dict[str, float]:
    """AUC of a linear probe on EmoDB, which is not in the training data, by type of input."""
    with (audio / "manifest.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["emotion"] in {"sadness", "neutral"}]
    signals = [soundfile.read(audio / row["path"], dtype="float32")[0] for row in rows]
    vectors = {"mean MFCCs": np.stack([mfccs(signal, CONFIG)[:, :COEFFICIENTS].mean(axis=0) for signal in signals])}
    for name, folder in (("untrained", trained / "untrained"), ("trained", trained)):
        embeddings = Embedder(checkpoint.load(str(folder))).embed(signals)
        vectors[name] = np.stack([embedding.summary for embedding in embeddings])
    sad = np.array([row["emotion"] == "sadness" for row in rows])
    speakers = [row["speaker"] for row in rows]
    return {name: speaker_disjoint_auc(given, sad, speakers) for name, given in vectors.items()}


if __name__ == "__main__":
    main()
