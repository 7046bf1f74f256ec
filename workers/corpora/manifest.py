"""Manifests: labelled audio of known speakers, for training and evaluation."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import ConfigurationError

REQUIRED = ("path", "speaker", "label")
SUBGROUPS = ("sex", "age", "corpus")
OPTIONAL = ("recorded_at", "split", *SUBGROUPS)
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Sample:
    """One memo-length part of a recording.

    label: 0 to 1, probability of the positive class; spans: (start, end) in seconds, joined in this order, empty for
    the whole file; split: `train`, `dev`, `test` or empty; groups: subgroup by name, if known; place: its location in
    the corpus, for error messages.
    """

    path: Path
    speaker: str
    label: float
    recorded_at: datetime | None = None
    split: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[tuple[float, float], ...] = ()
    place: str = ""


def read_manifest(path: Path) -> list[Sample]:
    """The samples of a CSV with columns `path,speaker,label` and optionally `recorded_at,split,sex,age,corpus`.

    Paths are relative to the manifest, or else to the working directory; times are ISO 8601, UTC without a zone.
    Raises ConfigurationError that names the invalid line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
            if absent:
                raise ConfigurationError(
                    f"the manifest has no column {' and no column '.join(map(repr, absent))}; its first line must name "
                    f"the columns, with commas between them: {','.join(REQUIRED)}, and optionally "
                    f"{','.join(OPTIONAL)}; `undertone train --help` shows an example"
                )
            samples = [_sample(row, path.parent, line) for line, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"the manifest cannot be read: {error}") from error
    if not samples:
        raise ConfigurationError("the manifest names no recording")
    return samples


def _sample(row: Mapping[str, str | None], folder: Path, line: int) -> Sample:
    values = {key: (value or "").strip() for key, value in row.items() if key}
    if not values["path"] or not values["speaker"]:
        raise ConfigurationError(f"line {line} of the manifest lacks a path or a speaker")
    return Sample(
        path=_path(values["path"], folder, line),
        speaker=values["speaker"],
        label=_label(values["label"], line),
        recorded_at=_time(values.get("recorded_at", ""), line),
        split=_split(values.get("split", ""), line),
        groups={key: values[key] for key in SUBGROUPS if values.get(key)},
        place=f"line {line}",
    )


def _path(text: str, folder: Path, line: int) -> Path:
    found = next((path for path in (folder / text, Path(text)) if path.is_file()), None)
    if found is None:
        raise ConfigurationError(
            f"line {line} of the manifest names a file that does not exist; paths are relative to the manifest"
        )
    return found


def _label(text: str, line: int) -> float:
    try:
        label = float(text)
    except ValueError:
        label = -1.0
    if not 0 <= label <= 1:
        raise ConfigurationError(
            f"line {line} of the manifest has a label that is not a number from 0 to 1; write 1 for the positive class "
            "and 0 for the negative one"
        )
    return label


def _split(text: str, line: int) -> str:
    if text and text.lower() not in SPLITS:
        raise ConfigurationError(
            f"line {line} of the manifest has a split other than {', '.join(SPLITS)}; leave it empty for train"
        )
    return text.lower()


def _time(text: str, line: int) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"line {line} of the manifest has a recorded_at that is not ISO 8601, as in 2026-05-01T08:30:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def chronological(samples: Sequence[Sample], share: float) -> tuple[list[int], list[int]]:
    """Indices of the earlier memos of each speaker, and of their last `share`: training precedes testing.

    Raises ConfigurationError when a sample has no time.
    """
    times = [sample.recorded_at for sample in samples]
    if None in times:
        raise ConfigurationError("a chronological split needs recorded_at on every line of the manifest")
    seconds = [time.timestamp() for time in times if time is not None]
    earlier: list[int] = []
    later: list[int] = []
    for speaker in dict.fromkeys(sample.speaker for sample in samples):
        own = [index for index, sample in enumerate(samples) if sample.speaker == speaker]
        own.sort(key=lambda index: (seconds[index], index))
        cut = len(own) - round(share * len(own))
        earlier += own[:cut]
        later += own[cut:]
    return sorted(earlier), sorted(later)
