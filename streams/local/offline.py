"""Files scored and extracted for the command line: JSON lines and named arrays. No broker, nothing kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from schemas.errors import Poison
from schemas.events import FloatArray, MemoFeatures, Modality
from schemas.json_records import Json, to_plain
from schemas.markers import MARKER_NAMES
from schemas.settings import Settings
from workers.acoustic.feature_names import FUNCTIONAL_NAMES, WINDOW_NAMES
from workers.audio.load import load_file
from workers.offline.extraction import Extraction
from workers.offline.scores import ScoredRecording, extraction_for, one_person, strangers
from workers.scoring.bundle import Bundle
from workers.scoring.feature_space import Parts
from workers.scoring.scorer import Scorer


def score_files(settings: Settings, paths: Sequence[Path]) -> Iterator[dict[str, Json]]:
    """One JSON object a file: path, probability, band, reasons, evidence, markers, …; or path and error.

    Every file is scored as the first memo of somebody unknown: against the population, not against a baseline. Raises
    ConfigurationError for a bundle that cannot be used, and for features that are not those it was trained on.
    """
    scorer = Scorer(Bundle.load(settings.bundle))
    with extraction_for(settings, scorer.bundle) as extraction:
        for each in strangers(scorer, extraction.extract(paths)):
            yield _line(each, scorer.bundle.id)


def score_in_turn(settings: Settings, paths: Sequence[Path]) -> Iterator[dict[str, Json]]:
    """As `score_files`, of one person's memos, oldest first: each is scored against those before it.

    `baseline_memos` says how many those are.
    """
    scorer = Scorer(Bundle.load(settings.bundle))
    with extraction_for(settings, scorer.bundle) as extraction:
        for each in one_person(scorer, extraction.extract(paths)):
            told = {} if isinstance(each.score, Poison) else {"baseline_memos": each.baseline_memos}
            yield _line(each, scorer.bundle.id) | told


def _line(each: ScoredRecording[Path], bundle_id: str) -> dict[str, Json]:
    path, parts, scored = str(each.extracted.recording), each.extracted.result, each.score
    if isinstance(scored, Poison) or isinstance(parts, Poison):
        return {"path": path, "error": str(scored)}
    first = next(iter(parts.values()))
    return {
        "path": path,
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


def arrays_of(stem: str, parts: Parts) -> dict[str, np.ndarray]:
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
