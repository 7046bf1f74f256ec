"""The calls of the Python API, with the stages that are kept between them."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from schemas.errors import Poison
from schemas.events import FloatArray, MemoFeatures, Modality
from schemas.pipeline import EMBEDDING
from schemas.settings import Settings
from workers.consumer.defects import defect, unexpected
from workers.offline.extraction import Extracted, Extraction
from workers.offline.kept_stages import KeptStages, quiet_stage
from workers.offline.load_recording import load_recording
from workers.offline.recordings import Recording
from workers.offline.results import Embedding, Failure, Features, Markers, Score
from workers.offline.scores import ScoredRecording, extraction_for, one_person, strangers
from workers.scoring.bundle import Bundle, head_kind
from workers.scoring.feature_space import Parts
from workers.scoring.heads import NEURAL
from workers.scoring.scorer import Scorer
from workers.service.quiet_tensorflow import import_tensorflow

T = TypeVar("T")

Named = str | os.PathLike[str] | None
"""A folder or a hub name; None for what the settings say."""


class Session:
    """Stages that are made when they are needed, and kept. Thread-safe: calls take turns."""

    def __init__(self) -> None:
        self._kept = KeptStages()
        self._turn = threading.Lock()

    def markers(self, recordings: Sequence[Recording]) -> list[Markers | Failure]:
        """As `workers.api.markers`."""
        with self._turn:
            extracted = self._extracted(Settings.load(), (Modality.ACOUSTIC,), recordings)
            return [_result(each, lambda parts: Markers.of(parts[Modality.ACOUSTIC])) for each in extracted]

    def features(self, recordings: Sequence[Recording], encoder: Named) -> list[Features | Failure]:
        """As `workers.api.features`."""
        wanted = (Modality.ACOUSTIC, Modality.EMBEDDING)
        with self._turn:
            extracted = self._extracted(_with_encoder(Settings.load(), encoder), wanted, recordings)
            return [_result(each, Features.of) for each in extracted]

    def score(self, recordings: Sequence[Recording], bundle: Named, *, in_turn: bool) -> list[Score | Failure]:
        """As `workers.api.score`."""
        settings = Settings.load() if bundle is None else Settings.load(bundle=Path(bundle))
        with self._turn:
            scorer = Scorer(_bundle(settings))
            extraction = extraction_for(settings, scorer.bundle, self._kept.stage)
            extracted = extraction.extract_by(load_recording, recordings)
            scored = one_person(scorer, extracted) if in_turn else strangers(scorer, extracted)
            return [_score(each, scorer.bundle.id) for each in scored]

    def close(self) -> None:
        """End the processes and let go of the models."""
        with self._turn:
            self._kept.close()

    def _extracted(
        self, settings: Settings, modalities: Sequence[Modality], recordings: Sequence[Recording]
    ) -> Iterator[Extracted[Recording]]:
        return Extraction(settings, modalities, self._kept.stage).extract_by(load_recording, recordings)


class EmbeddingSession:
    """One encoder, loaded. Thread-safe: calls take turns. Raises ConfigurationError when it cannot be used."""

    def __init__(self, encoder: Named) -> None:
        self._settings = _with_encoder(Settings.load(), encoder)
        self._extraction = Extraction(self._settings, (Modality.EMBEDDING,), quiet_stage)
        self._turn = threading.Lock()

    def embed(self, recordings: Iterable[Recording]) -> list[Embedding | Failure]:
        """As `workers.api.Embedder.embed`."""
        with self._turn:
            extracted = self._extraction.extract_by(load_recording, recordings)
            return [_result(each, lambda parts: Embedding.of(parts[Modality.EMBEDDING])) for each in extracted]

    def frames(self, recordings: Sequence[Recording]) -> list[FloatArray | Failure]:
        """As `workers.api.Embedder.frames`."""
        with self._turn:
            return [self._frames(recording) for recording in recordings]

    def _frames(self, recording: Recording) -> FloatArray | Failure:
        try:
            signal, _ = load_recording(recording, self._settings)
            return self._extraction.frames(signal)
        except Poison as poison:
            return Failure.of(poison)
        except Exception as error:
            if not unexpected(error):
                raise
            return Failure.of(defect(error, EMBEDDING.name))


def _bundle(settings: Settings) -> Bundle:
    if head_kind(settings.bundle) in NEURAL:
        import_tensorflow()
    return Bundle.load(settings.bundle)


def _with_encoder(settings: Settings, encoder: Named) -> Settings:
    return settings if encoder is None else settings.model_copy(update={"encoder": os.fspath(encoder)})


def _result(each: Extracted[Recording], of: Callable[[Parts], T]) -> T | Failure:
    return Failure.of(each.result) if isinstance(each.result, Poison) else of(each.result)


def _score(each: ScoredRecording[Recording], bundle: str) -> Score | Failure:
    parts, scored = each.extracted.result, each.score
    if isinstance(parts, Poison):
        return Failure.of(parts)
    if isinstance(scored, Poison):
        return Failure.of(scored)
    acoustic = parts.get(Modality.ACOUSTIC)
    first: MemoFeatures = next(iter(parts.values()))
    return Score(
        probability=None if scored.probability is None else float(scored.probability),
        band=scored.band,
        reasons=scored.reasons,
        evidence=scored.evidence,
        markers=None if acoustic is None else Markers.of(acoustic),
        quality=first.quality,
        duration_s=first.duration_s,
        baseline_memos=each.baseline_memos,
        bundle=bundle,
    )
