"""What the Python API gives for a recording: frozen values of Python and NumPy, light to import."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.errors import Poison
from schemas.events import Band, Evidence, FloatArray, MemoFeatures, Modality, Quality
from schemas.markers import MARKER_NAMES
from workers.acoustic.feature_names import FUNCTIONAL_NAMES


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a recording has no result.

    reason: a short code, such as `audio:undecodable`; detail: one sentence, without path or content.
    """

    reason: str
    detail: str

    @classmethod
    def of(cls, poison: Poison) -> "Failure":
        """The failure of a recording that is Poison."""
        return cls(poison.reason, poison.detail)


@dataclass(frozen=True, slots=True)
class Markers:
    """The acoustic markers of one recording.

    values: by name, in the units of `docs/python.md`, NaN where undefined; undefined: the reason of each NaN, by name;
    quality: how far the recording can be trusted, and which markers it makes `fragile`; duration_s: of the whole
    recording.
    """

    values: Mapping[str, float]
    undefined: Mapping[str, str]
    quality: Quality
    duration_s: float

    def __getitem__(self, name: str) -> float:
        """The value of one marker. Raises KeyError for a name that is not in MARKER_NAMES."""
        return self.values[name]

    @classmethod
    def of(cls, acoustic: MemoFeatures) -> "Markers":
        """The markers in the features of the acoustic modality."""
        values = dict(zip(acoustic.names, acoustic.summary.tolist(), strict=True))
        reasons = {name: reason for name, _, reason in (entry.partition(":") for entry in acoustic.undefined)}
        return cls({name: values[name] for name in MARKER_NAMES}, reasons, acoustic.quality, acoustic.duration_s)


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The encoder's output for one recording, float32: windows: (n, d), the mean of each window; summary: (d,)."""

    windows: FloatArray
    summary: FloatArray
    quality: Quality
    duration_s: float

    @classmethod
    def of(cls, embedding: MemoFeatures) -> "Embedding":
        """The embedding in the features of its modality."""
        return cls(embedding.windows, embedding.summary, embedding.quality, embedding.duration_s)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """All features of one recording; arrays are float32.

    functionals: (88,), by FUNCTIONAL_NAMES; windows: (n, 76), by WINDOW_NAMES; markers: as `markers` gives them;
    embedding: as `Embedder` gives it.
    """

    functionals: FloatArray
    windows: FloatArray
    markers: Markers
    embedding: Embedding

    @classmethod
    def of(cls, parts: Mapping[Modality, MemoFeatures]) -> "Features":
        """The features in both modalities of a memo."""
        acoustic = parts[Modality.ACOUSTIC]
        functionals = acoustic.summary[: len(FUNCTIONAL_NAMES)]
        return cls(functionals, acoustic.windows, Markers.of(acoustic), Embedding.of(parts[Modality.EMBEDDING]))


@dataclass(frozen=True, slots=True)
class Score:
    """What a bundle says of one recording.

    probability: calibrated, 0 to 1, None when it could not be computed; band: `indeterminate` where the bundle
    abstains; reasons: why it does, empty otherwise; evidence: the markers behind the score, strongest first; markers:
    None for a bundle that reads none; baseline_memos: recordings of the same person that it was held against; bundle:
    the bundle's id.
    """

    probability: float | None
    band: Band
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    markers: Markers | None
    quality: Quality
    duration_s: float
    baseline_memos: int
    bundle: str
