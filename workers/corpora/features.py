"""Extract labelled features from the samples of a corpus, with the same stages as the stream."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from schemas.errors import ConfigurationError, Poison
from schemas.events import Extractor, FloatArray, Modality, Quality
from schemas.pipeline import feature_stages
from schemas.settings import Settings
from workers.audio.decode import Decoded
from workers.audio.load import load_file
from workers.audio.memo import SAMPLING_RATE
from workers.audio.quality import Thresholds, assess
from workers.corpora.examples import Examples
from workers.corpora.feature_cache import Extraction, extracted
from workers.corpora.manifest import Sample
from workers.scoring.feature_space import Parts
from workers.stages import FeatureExtractor, make_stage

LONGEST_S = 4 * 3600.0
"""Limit for whole interviews, which are longer than memos; their pieces are not."""
MOST_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class SampleRecording:
    """The audio of a sample. digest: SHA-256 (hex) of its file."""

    sample: Sample
    digest: str
    settings: Settings = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        """Digest of content, spans and quality thresholds."""
        thresholds = Thresholds.of(self.settings)
        return f"{self.digest} {self.sample.spans} {thresholds}"

    def read(self) -> tuple[FloatArray, Quality]:
        """Signal and quality of the spans. Raises Poison."""
        signal, quality = _whole(self.sample.path, self.settings)
        if not self.sample.spans:
            return signal, quality
        edges = [(round(start * SAMPLING_RATE), round(end * SAMPLING_RATE)) for start, end in self.sample.spans]
        joined = np.concatenate([signal[start:end] for start, end in edges])
        if len(joined) < self.settings.audio_min_s * SAMPLING_RATE:
            raise Poison("audio:too_short", "the transcript points past the end of the recording")
        rate_hz = round(2 * max(quality.bandwidth_hz, 1.0))
        decoded = Decoded(joined, quality.clipped, rate_hz, channel=quality.channel)
        return joined, assess(decoded, Thresholds.of(self.settings))


@lru_cache(maxsize=2)
def _whole(path: Path, settings: Settings) -> tuple[FloatArray, Quality]:
    """Decode a recording once for all its pieces, which are adjacent in a corpus."""
    return load_file(path, settings)


@contextmanager
def extractions(settings: Settings, modalities: Sequence[Modality]) -> Iterator[list[Extraction]]:
    """The stages of these modalities. Raises ConfigurationError when the encoder cannot be used."""
    stages: list[FeatureExtractor] = []
    found: list[Extraction] = []
    try:
        for row in feature_stages(modalities):
            stage = make_stage(settings, row)
            stages.append(stage)
            wanted = (modality for modality in row.modalities if modality in modalities)
            found += [Extraction(each, stage, stage.extractors[each], settings.window_s) for each in wanted]
        yield found
    finally:
        for stage in stages:
            stage.close()


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFeatures:
    """Features of a corpus.

    kept: the samples of `examples`, in order; failed: the places of the samples without features, by reason.
    """

    examples: Examples
    kept: Sequence[Sample]
    extractors: Mapping[Modality, Extractor]
    failed: Mapping[str, Sequence[str]]


def labelled_features(
    samples: Sequence[Sample],
    hashes: Sequence[str],
    settings: Settings,
    modalities: Sequence[Modality],
    folder: Path | None,
    progress: Callable[[int], None] = lambda _: None,
) -> LabelledFeatures:
    """Features of every readable sample. hashes: of each sample's recording; folder: the cache, None for none.

    Raises ConfigurationError when none could be read.
    """
    long = settings.model_copy(update={"audio_max_s": LONGEST_S, "audio_max_bytes": MOST_BYTES})
    recordings = [SampleRecording(sample, digest, long) for sample, digest in zip(samples, hashes, strict=True)]
    with extractions(settings, modalities) as stages:
        found = extracted(recordings, stages, folder, progress)
        extractors = {stage.modality: stage.extractor for stage in stages}
    kept = [(sample, parts) for sample, parts in zip(samples, found, strict=True) if not isinstance(parts, Poison)]
    failed: dict[str, list[str]] = {}
    for sample, parts in zip(samples, found, strict=True):
        if isinstance(parts, Poison):
            failed.setdefault(parts.reason, []).append(sample.place)
    if not kept:
        raise ConfigurationError(f"no recording of the corpus could be read: {', '.join(sorted(failed))}")
    return LabelledFeatures(
        examples=examples_of([sample for sample, _ in kept], [parts for _, parts in kept]),
        kept=[sample for sample, _ in kept],
        extractors=extractors,
        failed=failed,
    )


def examples_of(samples: Sequence[Sample], parts: Sequence[Parts]) -> Examples:
    """Examples in the order of the samples."""
    return Examples(
        parts=parts,
        labels=np.array([sample.label for sample in samples], np.float64),
        speakers=np.array([sample.speaker for sample in samples]),
        times=np.array([s.recorded_at.timestamp() if s.recorded_at else np.nan for s in samples], np.float64),
    )
