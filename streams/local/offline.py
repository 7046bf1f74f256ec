"""Scoring and extracting files without a broker: the same stages, one process, nothing kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from schemas.errors import ConfigurationError, Poison
from schemas.events import Extractor, FloatArray, MemoFeatures, MemoUploaded, Modality
from schemas.json_records import Json, to_plain
from schemas.markers import MARKER_NAMES
from schemas.pipeline import EMBEDDING, feature_stages
from schemas.settings import Settings
from workers.acoustic.feature_names import FUNCTIONAL_NAMES, WINDOW_NAMES
from workers.audio.load import load_file
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome, settle
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import PersonalNormal, updated
from workers.scoring.scorer import Scored, Scorer
from workers.stages import check_extractors, make_stage

TOGETHER = 8
"""Files in one batch of the stages."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """One file: its features by modality, or why it has none."""

    path: Path
    result: dict[Modality, MemoFeatures] | Poison


class Extraction(AbstractContextManager["Extraction"]):
    """The stages of some modalities, ready for files. Raises ConfigurationError when a model cannot be used."""

    def __init__(self, settings: Settings, modalities: Sequence[Modality]) -> None:
        self._settings, self._modalities = settings, modalities
        self._stages = {row.name: make_stage(settings, row) for row in feature_stages(modalities)}

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

    def extract(self, paths: Iterable[Path]) -> Iterator[Extracted]:
        """Features of every file, in order; one that cannot be read or is poison says why, alone."""
        remaining = iter(paths)
        while batch := list(islice(remaining, TOGETHER)):
            yield from self._batch(batch)

    def frames(self, signal: FloatArray) -> FloatArray:
        """(frames, d): the encoder's last hidden state of every frame. Raises KeyError without the embedding stage."""
        from workers.wav2vec2.stage import EmbeddingStage  # TensorFlow: only whoever asks for frames loads it

        stage = self._stages[EMBEDDING.name]
        assert isinstance(stage, EmbeddingStage)
        frames = stage.embedder.embed_frames([stage.heard(signal)])[0].frames
        assert frames is not None
        return frames

    def _batch(self, paths: Sequence[Path]) -> list[Extracted]:
        loaded = [_loaded(path, self._settings) for path in paths]
        memos = [memo for memo in loaded if isinstance(memo, Memo)]
        columns = [iter(settle(stage, memos)) for stage in self._stages.values()]
        return [
            Extracted(path, memo if isinstance(memo, Poison) else self._joined([next(each) for each in columns]))
            for path, memo in zip(paths, loaded, strict=True)
        ]

    def _joined(self, outcomes: Sequence[Outcome[MemoFeatures]]) -> dict[Modality, MemoFeatures] | Poison:
        """The wanted modalities of one memo, in their order, of what each stage gave."""
        found: dict[Modality, MemoFeatures] = {}
        for outcome in outcomes:
            if isinstance(outcome, Poison):
                return outcome
            found |= {features.modality: features for features in outcome}
        return {modality: found[modality] for modality in self._modalities}


def _loaded(path: Path, settings: Settings) -> Memo | Poison:
    try:
        signal, quality = load_file(path, settings)
    except Poison as poison:
        return poison
    now = datetime.now(UTC)
    return Memo(MemoUploaded("offline", "offline", now, now, ""), signal, quality)


def score_files(settings: Settings, paths: Sequence[Path]) -> Iterator[dict[str, Json]]:
    """One JSON object a file: path, probability, band, reasons, evidence, markers, …; or path and error.

    Every file is scored as the first memo of somebody unknown: against the population, not against a baseline. Raises
    ConfigurationError for a bundle that cannot be used, and for features that are not those it was trained on.
    """
    scorer = Scorer(Bundle.load(settings.bundle))
    stranger = PersonalNormal.empty(len(scorer.bundle.names))
    with _extraction(settings, scorer.bundle) as extraction:
        for each in extraction.extract(paths):
            yield _line(each, _scored(each, scorer, stranger), scorer.bundle.id)


def score_in_turn(settings: Settings, paths: Sequence[Path]) -> Iterator[dict[str, Json]]:
    """As `score_files`, of one person's memos, oldest first: each is scored against those before it.

    `baseline_memos` says how many those are: memos that cannot be trusted are scored and not learnt from, as in the
    stream. There an open episode also freezes the baseline; here are no episodes, so all are learnt from.
    """
    scorer = Scorer(Bundle.load(settings.bundle))
    normal = PersonalNormal.empty(len(scorer.bundle.names))
    with _extraction(settings, scorer.bundle) as extraction:
        for each in extraction.extract(paths):
            scored = _scored(each, scorer, normal)
            told = {} if isinstance(scored, Poison) else {"baseline_memos": normal.memos}
            yield _line(each, scored, scorer.bundle.id) | told
            if isinstance(scored, Scored) and scored.vector is not None:
                normal = updated(normal, scored.vector)


def _extraction(settings: Settings, bundle: Bundle) -> Extraction:
    """The stages that give the bundle its features. Raises ConfigurationError where they would give it others."""
    bundle.left_out(settings.modalities)
    extraction = Extraction(settings, settings.modalities)
    try:
        check_extractors(extraction.extractors, bundle.space.extractors)
    except ConfigurationError:
        extraction.close()
        raise
    return extraction


def _scored(each: Extracted, scorer: Scorer, normal: PersonalNormal) -> Scored | Poison:
    if isinstance(each.result, Poison):
        return each.result
    (scored,) = scorer.score([(each.result, normal)])
    return scored


def _line(each: Extracted, scored: Scored | Poison, bundle_id: str) -> dict[str, Json]:
    if isinstance(scored, Poison) or isinstance(each.result, Poison):
        return {"path": str(each.path), "error": str(scored)}
    parts = each.result
    first = next(iter(parts.values()))
    return {
        "path": str(each.path),
        "probability": to_plain(scored.probability),
        "band": scored.band.value,
        "reasons": list(scored.reasons),
        "evidence": to_plain(scored.evidence),
        "markers": _markers(parts.get(Modality.ACOUSTIC)),
        "undefined": [entry for part in parts.values() for entry in part.undefined],
        "fragile": list(first.quality.fragile),
        "channel": first.quality.channel,
        "duration_s": round(first.duration_s, 3),
        "bundle": bundle_id,
    }


def _markers(acoustic: MemoFeatures | None) -> Json:
    """Markers by name, null where undefined."""
    if acoustic is None:
        return None
    values = dict(zip(acoustic.names, acoustic.summary.tolist(), strict=True))
    return {name: to_plain(values[name]) for name in MARKER_NAMES}


def arrays_of(stem: str, parts: dict[Modality, MemoFeatures]) -> dict[str, np.ndarray]:
    """Arrays of one file under the names that `undertone features` writes."""
    arrays: dict[str, np.ndarray] = {}
    if (acoustic := parts.get(Modality.ACOUSTIC)) is not None:
        arrays[f"{stem}.functionals"] = acoustic.summary[: len(FUNCTIONAL_NAMES)]
        arrays[f"{stem}.markers"] = acoustic.summary[len(FUNCTIONAL_NAMES) :]
        arrays[f"{stem}.undefined"] = np.array(acoustic.undefined, np.str_)
        arrays[f"{stem}.fragile"] = np.array(acoustic.quality.fragile, np.str_)
        arrays[f"{stem}.windows"] = acoustic.windows
    if (embedding := parts.get(Modality.EMBEDDING)) is not None:
        arrays[f"{stem}.embedding_windows"] = embedding.windows
        arrays[f"{stem}.embedding_summary"] = embedding.summary
    return arrays


def frames_of(extraction: Extraction, path: Path, settings: Settings) -> FloatArray:
    """(frames, d): the hidden state of every frame of one file that has been extracted before."""
    signal, _ = load_file(path, settings)
    return extraction.frames(signal)


def names_of(modalities: Sequence[Modality]) -> dict[str, np.ndarray]:
    """The names behind the acoustic arrays; embeddings have none."""
    if Modality.ACOUSTIC not in modalities:
        return {}
    return {
        "functionals_names": np.array(FUNCTIONAL_NAMES),
        "markers_names": np.array(MARKER_NAMES),
        "window_names": np.array(WINDOW_NAMES),
    }
