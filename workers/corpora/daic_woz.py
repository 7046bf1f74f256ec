"""Read DAIC-WOZ and E-DAIC as distributed: interviews split into memo-length pieces of the participant's own speech.

Known errors of the corpus, handled here: sessions 342, 394, 398 and 460 do not exist; session 409 scores 10 but is
labelled 0, so labels follow the score; 451, 458 and 480 lack the interviewer's text, which is unused anyway; 373 and
444 were interrupted, and the interruption is dropped.
Sources: Gratch et al. 2014 and the corpus documentation; interruptions as in Bailey & Plumbley 2021's published code.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigurationError
from workers.corpora.manifest import Sample

ABSENT = frozenset({"342", "394", "398", "460"})
INTERRUPTED = {"373": (395.0, 428.0), "444": (286.0, 387.0)}
"""Seconds from, to."""
CUTOFF = 10
"""Lowest PHQ-8 score with a positive label."""
PIECE_S = 30.0
"""Speech in one piece, similar to a memo."""
SHORTEST_PIECE_S = 10.0
"""A shorter last piece is merged into its neighbour."""
SCRUBBED = "scrubbed_entry"

Span = tuple[float, float]

SPLITS = {
    "train": ("train_split_Depression_AVEC2017.csv", "train_split.csv"),
    "dev": ("dev_split_Depression_AVEC2017.csv", "dev_split.csv"),
    "test": ("full_test_split.csv", "test_split.csv"),
}
"""Files with labels, DAIC-WOZ's name first and E-DAIC's second. test_split_Depression_AVEC2017.csv has no labels."""


@dataclass(frozen=True, slots=True)
class _Session:
    number: str
    label: float
    split: str
    sex: str


def read_daic_woz(folder: Path) -> list[Sample]:
    """Pieces of every labelled session under `folder`, with the official split of their session.

    Raises ConfigurationError when there is no split file, or when a session of a split lacks its audio or transcript.
    """
    sessions = [session for split, names in SPLITS.items() for session in _split(folder, split, names)]
    if not sessions:
        raise ConfigurationError("the folder has no labelled split of DAIC-WOZ or E-DAIC")
    return [sample for session in sessions for sample in _pieces(folder, session)]


def pieces(turns: Iterable[Span], most_s: float = PIECE_S, least_s: float = SHORTEST_PIECE_S) -> list[tuple[Span, ...]]:
    """Group turns, in order, into pieces of at least `most_s` seconds; a short last one is merged into its neighbour.

    >>> pieces([(0, 20), (30, 45), (50, 55)])
    [((0, 20), (30, 45), (50, 55))]
    """
    groups: list[list[Span]] = [[]]
    for turn in turns:
        if _length(groups[-1]) >= most_s:
            groups.append([])
        first, *rest = _cut(turn, most_s)
        groups[-1].append(first)
        groups.extend([part] for part in rest)
    if len(groups) > 1 and _length(groups[-1]) < least_s:
        last = groups.pop()
        groups[-1] += last
    return [tuple(group) for group in groups if group]


def _cut(turn: Span, most_s: float) -> list[Span]:
    """Split a turn longer than two pieces into parts of one piece each; keep any other."""
    start, end = turn
    if end - start <= 2 * most_s:
        return [turn]
    return [(start, start + most_s), *_cut((start + most_s, end), most_s)]


def _length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)


def _split(folder: Path, split: str, names: tuple[str, ...]) -> Iterator[_Session]:
    place = next((folder / name for name in names if (folder / name).is_file()), None)
    if place is None:
        return
    for line, row in enumerate(_rows(place, ","), 2):
        number = row.get("participant_id", "")
        if number in ABSENT or not number:
            continue
        score, label = row.get("phq8_score") or row.get("phq_score"), row.get("phq8_binary") or row.get("phq_binary")
        try:
            positive = float(score) >= CUTOFF if score else float(label or "") > 0
        except ValueError as error:
            raise ConfigurationError(f"line {line} of {place.name} has neither a score nor a label") from error
        yield _Session(number, float(positive), split, _sex(row.get("gender", "")))


def _rows(place: Path, delimiter: str) -> Iterator[dict[str, str]]:
    """Rows of a table by lower-case column name: the corpus spells `Participant_ID` in more than one way."""
    with place.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        for row in csv.DictReader(
            file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
        ):
            yield {
                key.strip().lower(): (value or "").strip()
                for key, value in row.items()
                if key and not isinstance(value, list)
            }


def _sex(gender: str) -> str:
    return {"0": "m", "1": "f", "male": "m", "female": "f"}.get(gender.lower(), "")


def _pieces(folder: Path, session: _Session) -> Iterator[Sample]:
    audio = _find(folder, session, "_AUDIO.wav")
    transcript = _find(folder, session, "_TRANSCRIPT.csv", "_Transcript.csv")
    corpus = "daic-woz" if transcript.name.endswith("_TRANSCRIPT.csv") else "e-daic"
    groups = {"corpus": corpus, **({"sex": session.sex} if session.sex else {})}
    for spans in pieces(_turns(transcript, session.number)):
        yield Sample(
            audio,
            session.number,
            session.label,
            split=session.split,
            groups=groups,
            spans=spans,
            place=f"session {session.number}",
        )


def _find(folder: Path, session: _Session, *endings: str) -> Path:
    for place in (folder, folder / "data"):
        inside = place / f"{session.number}_P"
        for path in sorted(inside.glob("*")):
            if any(path.name == f"{session.number}{ending}" for ending in endings):
                return path
    raise ConfigurationError(
        f"session {session.number} of the {session.split} split lacks its {endings[0].strip('_')}; "
        "unpack it, or take the session out of the split"
    )


def _turns(transcript: Path, number: str) -> list[Span]:
    """The participant's own turns in order of time, without scrubbed entries and interruptions."""
    tabbed = "\t" in transcript.read_text(encoding="utf-8-sig", errors="replace").split("\n", 1)[0]
    turns = []
    for row in _rows(transcript, "\t" if tabbed else ","):
        if row.get("speaker", "Participant") != "Participant" or SCRUBBED in (
            row.get("value") or row.get("text") or ""
        ):
            continue
        span = _span(row)
        if span is not None:
            turns += _outside(span, INTERRUPTED.get(number))
    return sorted(turns)


def _span(row: Mapping[str, str]) -> Span | None:
    """Start and end, or None for malformed lines, which some transcripts have."""
    try:
        start, end = float(row.get("start_time", "")), float(row.get("stop_time") or row.get("end_time") or "")
    except ValueError:
        return None
    return (start, end) if end > start >= 0 else None


def _outside(span: Span, gap: Span | None) -> list[Span]:
    """The parts of `span` before and after `gap`."""
    if gap is None:
        return [span]
    before, after = (span[0], min(span[1], gap[0])), (max(span[0], gap[1]), span[1])
    return [part for part in (before, after) if part[1] > part[0]]
