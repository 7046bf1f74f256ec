"""Train the shipped bundle, on simulated voices only.

    python -m workers.training.demo_bundle [OUT] [--cache DIR]

The encoder's checkpoint must exist in `OUT/encoder`. The same source tree gives the same bytes.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from schemas.bundle_manifest import ENCODER
from schemas.errors import Poison
from schemas.events import FloatArray, Modality, Quality
from schemas.markers import MARKER_NAMES
from schemas.settings import SHIPPED_BUNDLE, Settings
from workers.audio.decode import Decoded
from workers.audio.memo import SAMPLING_RATE
from workers.audio.quality import Thresholds, assess
from workers.corpora.examples import Examples
from workers.corpora.feature_cache import extracted
from workers.corpora.features import extractions
from workers.evaluation.model_card import card_of
from workers.scoring.bundle import Bundle, save
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.device_channel import as_received
from workers.simulation.source_filter import Voice, speak
from workers.training.fit_bundle import fit
from workers.training.recipe import Recipe

SPEAKERS, CALM, OTHER = 20, 8, 6
"""Speakers, memos of each at low severity, and memos of each at any severity."""
SEED = 20261123
STEEPNESS = 6.0
"""Slope of the label's probability over severity: memos in between may have either label."""

ROBUST = (
    *MARKER_NAMES,
    "F0semitoneFrom27.5Hz_sma3nz_percentile50.0",
    "F0semitoneFrom27.5Hz_sma3nz_pctlrange0-2",
    "loudness_sma3_stddevNorm",
    "loudnessPeaksPerSec",
    "VoicedSegmentsPerSec",
    "MeanVoicedSegmentLengthSec",
    "MeanUnvoicedSegmentLength",
    "StddevUnvoicedSegmentLength",
)
"""Features of timing, pitch and voice quality; timbre depends as much on the microphone as on the speaker."""
SILENT = ("pitch_range", "pitch_sd", "creak_share")
"""Evidence only: in a memo of a few seconds one octave error reverses them, and a codec can cause that."""

RECIPE = Recipe(seed=SEED, acoustic=ROBUST, silent=SILENT, axes=8, penalty=100.0, controls=True)


@dataclass(frozen=True, slots=True)
class SpokenMemo:
    """A simulated memo, as a Recording."""

    speaker: str
    voice: Voice
    severity: float
    seconds: float
    seed: int
    settings: Settings = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """Digest of the script, including the voice's parameters, and of the simulator."""
        script = (self.voice, self.severity, self.seconds, self.seed, _simulator())
        return hashlib.sha256(repr(script).encode()).hexdigest()

    def read(self) -> tuple[FloatArray, Quality]:
        """The synthesised memo after a phone's codec."""
        rng = np.random.default_rng(self.seed)
        spoken, _ = speak(voice_at(self.voice, self.severity, rng), self.seconds, rng)
        signal = as_received(spoken, rng)
        return signal, assess(Decoded(signal, 0.0, SAMPLING_RATE), Thresholds.of(self.settings))


def cohort_memos(settings: Settings, speakers: int = SPEAKERS) -> list[SpokenMemo]:
    """Every speaker at low severity first, then at severities drawn uniformly from 0 to 1."""
    memos = []
    for number in range(speakers):
        rng = np.random.default_rng([SEED, number])
        voice = random_voice(rng)
        calm = np.clip(0.1 + rng.normal(0, 0.06, CALM), 0, 1)
        for severity in (*calm, *rng.uniform(0, 1, OTHER)):
            seconds = round(float(rng.uniform(6.0, 14.0)), 1)
            seed = int(rng.integers(2**62))
            memos.append(SpokenMemo(f"simulated-{number:03d}", voice, float(severity), seconds, seed, settings))
    return memos


def examples_of(memos: list[SpokenMemo], features: list[Mapping[Modality, object] | Poison]) -> Examples:
    """Labelled examples; labels are soft, and times follow the order of a speaker's memos."""
    kept = [(memo, parts) for memo, parts in zip(memos, features, strict=True) if not isinstance(parts, Poison)]
    severity = np.array([memo.severity for memo, _ in kept])
    return Examples(
        parts=[parts for _, parts in kept],  # type: ignore[misc]
        labels=1 / (1 + np.exp(-STEEPNESS * (severity - 0.45))),
        speakers=np.array([memo.speaker for memo, _ in kept]),
        times=np.arange(len(kept), dtype=np.float64),
    )


def make(out: Path, folder: Path | None) -> Bundle:
    """Train and write the shipped bundle."""
    settings = Settings.load(bundle=out)
    memos = cohort_memos(settings)
    with extractions(settings, (Modality.ACOUSTIC, Modality.EMBEDDING)) as stages:
        features = extracted(memos, stages, folder)
        extractors = {each.modality: each.extractor for each in stages}
    training = {
        "data": "simulated voices only (workers.simulation); says nothing about people",
        "memos": len(memos),
        "speakers": SPEAKERS,
        "seed": SEED,
    }
    fitted = fit(
        examples_of(memos, features),  # type: ignore[arg-type]
        extractors,
        RECIPE,
        name="demo",
        encoder=ENCODER,
        training=training,
    )
    return save(fitted.bundle, out, card_of(fitted.bundle))


@cache
def _simulator() -> str:
    """Digest of the simulator's source, which invalidates cached features when it changes."""
    folder = resources.files("workers.simulation")
    names = ("source_filter.py", "prosody.py", "cohort.py", "device_channel.py")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the shipped bundle on simulated voices.")
    parser.add_argument("out", type=Path, nargs="?", default=SHIPPED_BUNDLE)
    parser.add_argument("--cache", type=Path, default=None, help="folder of cached features, to resume a run")
    arguments = parser.parse_args()
    sys.stdout.write(f"{make(arguments.out, arguments.cache).id}\n")


if __name__ == "__main__":
    main()
