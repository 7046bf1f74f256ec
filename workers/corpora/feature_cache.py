"""Cache the features of a corpus on disk, keyed by everything that determines them: interrupted runs resume."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import Extractor, FloatArray, MemoFeatures, MemoUploaded, Modality, Quality
from workers.audio.memo import Memo
from workers.consumer.stage import Stage, settle
from workers.scoring.feature_space import Parts

BATCH = 16
"""Memos extracted together: the most that an interrupted run loses."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Recording(Protocol):
    """A source of audio. `key` changes whenever the audio does."""

    @property
    def key(self) -> str:
        """Digest of everything that determines the audio."""

    def read(self) -> tuple[FloatArray, Quality]:
        """Signal at SAMPLING_RATE and its quality. Raises Poison."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """One modality: its stage and the extractor in its records."""

    modality: Modality
    stage: Stage[Memo, MemoFeatures]
    extractor: Extractor
    window_s: float


def extracted(
    recordings: Sequence[Recording],
    extractions: Sequence[Extraction],
    folder: Path | None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Parts | Poison]:
    """Features of every recording in every modality, in order; Poison where extraction failed.

    folder: the cache, None for none; progress: called with the number of recordings just done.
    """
    results: list[Parts | Poison] = []
    for start in range(0, len(recordings), BATCH):
        batch = recordings[start : start + BATCH]
        results += _batch(batch, extractions, folder)
        progress(len(batch))
    return results


def _batch(
    recordings: Sequence[Recording], extractions: Sequence[Extraction], folder: Path | None
) -> list[Parts | Poison]:
    found = [[_cached(folder, recording, extraction) for extraction in extractions] for recording in recordings]
    results: list[Parts | Poison] = []
    memos: dict[int, Memo] = {}
    for index, recording in enumerate(recordings):
        if any(part is None for part in found[index]):
            try:
                memos[index] = _memo(recording)
            except Poison as poison:
                found[index] = [poison for _ in extractions]
    for column, extraction in enumerate(extractions):
        absent = [index for index in memos if found[index][column] is None]
        for index, part in zip(absent, _settled(extraction, [memos[i] for i in absent]), strict=True):
            found[index][column] = part
            _keep(folder, recordings[index], extraction, part)
    for parts in found:
        failed = next((part for part in parts if isinstance(part, Poison)), None)
        results.append(failed or {p.modality: p for p in parts if isinstance(p, MemoFeatures)})
    return results


def _settled(extraction: Extraction, memos: Sequence[Memo]) -> Iterator[MemoFeatures | Poison]:
    for outcome in settle(extraction.stage, memos):
        yield outcome if isinstance(outcome, Poison) else _of(extraction.modality, outcome)


def _of(modality: Modality, records: Sequence[MemoFeatures]) -> MemoFeatures:
    return next(record for record in records if record.modality is modality)


def _memo(recording: Recording) -> Memo:
    signal, quality = recording.read()
    return Memo(MemoUploaded("sample", "corpus", EPOCH, EPOCH, ""), signal, quality)


def _place(folder: Path, recording: Recording, extraction: Extraction) -> Path:
    extractor = extraction.extractor
    key = f"{recording.key} {extractor.name} {extractor.version} {extractor.weights_hash} {extraction.window_s}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    return folder / digest[:2] / f"{digest}.avro"


def _cached(folder: Path | None, recording: Recording, extraction: Extraction) -> MemoFeatures | Poison | None:
    if folder is None:
        return None
    try:
        return Codec().decode(_place(folder, recording, extraction).read_bytes(), MemoFeatures)
    except (OSError, DecodeError):
        return None


def _keep(folder: Path | None, recording: Recording, extraction: Extraction, part: MemoFeatures | Poison) -> None:
    if folder is None or isinstance(part, Poison):
        return
    place = _place(folder, recording, extraction)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".partial")
    partial.write_bytes(Codec().encode(part))
    partial.replace(place)
