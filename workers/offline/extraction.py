"""Run the feature stages over recordings at hand, as the feature workers run them over memos."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

from schemas.errors import Poison
from schemas.events import Extractor, FloatArray, MemoFeatures, MemoUploaded, Modality, Quality
from schemas.pipeline import EMBEDDING, FeatureStage, feature_stages
from schemas.settings import Settings
from workers.audio.load import load_file
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome, settle
from workers.scoring.feature_space import Parts
from workers.stages import FeatureExtractor, make_stage

TOGETHER = 8
"""Recordings in one batch of the stages."""

R = TypeVar("R")

Make: TypeAlias = Callable[[Settings, FeatureStage], FeatureExtractor]
Load: TypeAlias = Callable[[R, Settings], tuple[FloatArray, Quality]]
"""Signal and quality of a recording. Raises Poison."""


@dataclass(frozen=True, slots=True)
class Extracted(Generic[R]):
    """One recording: its features by modality, or why it has none."""

    recording: R
    result: Parts | Poison


class Extraction(AbstractContextManager["Extraction"]):
    """The stages of some modalities, ready for recordings.

    make: makes a stage, by default a new one. Raises ConfigurationError when a model cannot be used.
    """

    def __init__(self, settings: Settings, modalities: Sequence[Modality], make: Make = make_stage) -> None:
        self._settings, self._modalities = settings, modalities
        self._stages = {row.name: make(settings, row) for row in feature_stages(modalities)}

    def __enter__(self) -> Self:
        """Ready since made."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the stages' processes."""
        self.close()

    def close(self) -> None:
        """End the stages' processes."""
        for stage in self._stages.values():
            stage.close()

    @property
    def extractors(self) -> Mapping[Modality, Extractor]:
        """The extractor of each modality."""
        return {modality: made for stage in self._stages.values() for modality, made in stage.extractors.items()}

    def extract(self, paths: Iterable[Path]) -> Iterator[Extracted[Path]]:
        """Features of every file, in order; one that cannot be read or is poison says why, alone."""
        return self.extract_by(load_file, paths)

    def extract_by(self, load: Load[R], recordings: Iterable[R]) -> Iterator[Extracted[R]]:
        """As `extract`, of recordings of any kind that `load` reads."""
        remaining = iter(recordings)
        while batch := list(islice(remaining, TOGETHER)):
            yield from self._batch(load, batch)

    def frames(self, signal: FloatArray) -> FloatArray:
        """(frames, d): the encoder's last hidden state of every frame.

        Raises Poison for a signal that has none, KeyError without the embedding stage.
        """
        from workers.wav2vec2.stage import EmbeddingStage  # TensorFlow: only whoever asks for frames loads it

        stage = self._stages[EMBEDDING.name]
        assert isinstance(stage, EmbeddingStage)
        return stage.frames(signal)

    def _batch(self, load: Load[R], recordings: Sequence[R]) -> list[Extracted[R]]:
        loaded = [_loaded(load, recording, self._settings) for recording in recordings]
        memos = [memo for memo in loaded if isinstance(memo, Memo)]
        # Together: openSMILE starts in its process while the encoder's first program is compiled or read in this one.
        with ThreadPoolExecutor(max(1, len(self._stages))) as threads:
            columns = [iter(each) for each in threads.map(lambda stage: settle(stage, memos), self._stages.values())]
        return [
            Extracted(recording, memo if isinstance(memo, Poison) else self._joined([next(each) for each in columns]))
            for recording, memo in zip(recordings, loaded, strict=True)
        ]

    def _joined(self, outcomes: Sequence[Outcome[MemoFeatures]]) -> Parts | Poison:
        """The wanted modalities of one memo, in their order, of what each stage gave."""
        found: dict[Modality, MemoFeatures] = {}
        for outcome in outcomes:
            if isinstance(outcome, Poison):
                return outcome
            found |= {features.modality: features for features in outcome}
        return {modality: found[modality] for modality in self._modalities}


def _loaded(load: Load[R], recording: R, settings: Settings) -> Memo | Poison:
    try:
        signal, quality = load(recording, settings)
    except Poison as poison:
        return poison
    now = datetime.now(UTC)
    return Memo(MemoUploaded("offline", "offline", now, now, ""), signal, quality)
