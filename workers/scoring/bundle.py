"""The folder that a trained model ships in: loaded completely or rejected.

    manifest.json            name, required extractors, calibration, bands, training, digests of files
    head.safetensors         the head's weights
    first.safetensors        weights of the head for people without a baseline, if it differs
    population.safetensors   population statistics per feature, axes of the embedding, statistics of windows
    README.md                the model card
    encoder/                 a Wav2Vec2 checkpoint, if the bundle has its own
    equivalents.json         other extractors that it accepts, if any were shown to be equivalent; no part of the id

The id ends with a digest of the manifest, which contains the digest of every other file, so bundles with the same id
are identical.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy as tensors

from schemas.bundle_equivalents import by_modality, read_equivalents
from schemas.bundle_manifest import ENCODER, MANIFEST, WINDOW_S, left_out
from schemas.errors import ConfigurationError
from schemas.events import Extractor, FloatArray, Modality
from workers.scoring.calibration import Bands, Calibration
from workers.scoring.feature_space import FeatureSpace
from workers.scoring.head import Head
from workers.scoring.heads import SEQUENTIAL, restore
from workers.scoring.personal_baseline import LEAST_MEMOS, Population

FORMAT = 3
HEAD, FIRST, POPULATION, CARD = "head.safetensors", "first.safetensors", "population.safetensors", "README.md"


DATA = (".json", ".safetensors")
"""Files of the encoder that determine its output."""


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """Head for memos of people without a baseline: trained and calibrated without any baselines."""

    head: Head
    calibration: Calibration


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Everything that scoring needs.

    name: prefix of the id, `demo` for the shipped one; space: the features; markers: those that evidence may name;
    silent: those that no head reads, because a codec or a microphone can reverse them; first: scores people without a
    baseline, None if `head` does; window_mean, window_sd: (d,) of a window, empty for heads that read none; encoder: a
    hub name with `@revision`, or `encoder` for the checkpoint in the folder; window_s: seconds of the windows that it
    was trained on; training: provenance, plain JSON; path: its folder, None if never saved.
    """

    name: str
    space: FeatureSpace
    markers: tuple[str, ...]
    population: Population
    head: Head
    calibration: Calibration
    bands: Bands
    silent: tuple[str, ...] = ()
    first: First | None = None
    window_mean: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    window_sd: FloatArray = field(default_factory=lambda: np.ones(0, np.float32))
    encoder: str | None = None
    window_s: float = WINDOW_S
    training: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    id: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the order of vectors and baselines."""
        return self.space.names

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that a memo needs for a score without `missing:`."""
        return tuple(self.space.extractors)

    def left_out(self, modalities: Collection[Modality]) -> tuple[Modality, ...]:
        """Modalities that it needs and that are not among these: every score will lack them.

        Raises ConfigurationError when it needs none of these: no memo could get a score.
        """
        return left_out(self.modalities, modalities)

    @property
    def encoder_source(self) -> str | None:
        """Folder or hub name (`name@revision`) of its encoder; None if it uses no embeddings."""
        if self.encoder == ENCODER and self.path is not None:
            return str(self.path / ENCODER)
        return self.encoder

    def usual_ranges(self) -> dict[str, tuple[float, float]]:
        """Of markers, between which values 8 of 10 memos of the training population are, in the marker's unit.

        A marker in which people differ by more than the bundle says, such as the pitch of voice, has none.
        """
        low, high = self.population.usual_range()
        places = {name: self.names.index(name) for name in self.markers}
        known = self.population.memos > np.float32(LEAST_MEMOS)
        return {name: (float(low[place]), float(high[place])) for name, place in places.items() if known[place]}

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Load a bundle from a folder. Raises ConfigurationError naming what is missing, altered or inconsistent."""
        manifest = _read_manifest(path)
        _check_files(path, manifest)
        try:
            return _assembled(path, manifest)
        except (KeyError, ValueError, TypeError, IndexError, safetensors.SafetensorError) as error:
            raise _rejected(
                f"{MANIFEST} and the weights do not fit together ({type(error).__name__}: {error})"
            ) from error


def head_kind(path: Path) -> str:
    """The head kind of the bundle in a folder, without loading the bundle. Raises ConfigurationError."""
    try:
        return str(_read_manifest(path)["head"]["kind"])
    except (KeyError, TypeError) as error:
        raise _rejected(f"{MANIFEST} names no head kind") from error


def save(bundle: Bundle, path: Path, card: str) -> Bundle:
    """Write a bundle's files into the folder and load it again. An existing `encoder/` there becomes part of it.

    Deterministic: the same bundle gives the same bytes and the same id.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / HEAD).write_bytes(tensors.save(_contiguous(bundle.head.weights())))
    (path / FIRST).unlink(missing_ok=True)
    if bundle.first is not None:
        (path / FIRST).write_bytes(tensors.save(_contiguous(bundle.first.head.weights())))
    (path / POPULATION).write_bytes(tensors.save(_contiguous(_arrays(bundle))))
    manifest = _manifest(bundle, path)
    manifest["id"] = _identity(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    (path / CARD).write_text(card.replace("{id}", manifest["id"]))
    return Bundle.load(path)


def _manifest(bundle: Bundle, path: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": bundle.name,
        "extractors": {str(m): asdict(e) for m, e in bundle.space.extractors.items()},
        "acoustic": [*bundle.space.acoustic],
        "markers": [*bundle.markers],
        "silent": [*bundle.silent],
        "head": {"kind": bundle.head.kind, "config": bundle.head.config()},
        "calibration": bundle.calibration.to_json(),
        "first": bundle.first
        and {
            "config": bundle.first.head.config(),
            "calibration": bundle.first.calibration.to_json(),
        },
        "bands": asdict(bundle.bands),
        "encoder": bundle.encoder,
        "training": dict(bundle.training),
        "files": {name: _digest(path / name) for name in _files(path)},
        **({} if bundle.window_s == WINDOW_S else {"window_s": bundle.window_s}),
    }


def _files(path: Path) -> list[str]:
    inside = sorted(f"{ENCODER}/{file.name}" for file in (path / ENCODER).glob("*") if file.suffix in DATA)
    return [*(name for name in (HEAD, FIRST, POPULATION) if (path / name).is_file()), *inside]


def _arrays(bundle: Bundle) -> dict[str, np.ndarray]:
    people = bundle.population
    return {
        "mean": people.mean,
        "within": people.within,
        "memos": people.memos,
        "freedom": np.array([people.freedom], np.float32),
        "mood": np.array([people.mood], np.float32),
        "patience": np.array([people.patience], np.float32),
        "centre": bundle.space.centre,
        "axes": bundle.space.axes,
        "window_mean": bundle.window_mean,
        "window_sd": bundle.window_sd,
    }


def _contiguous(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except OSError as error:
        raise _rejected(f"{MANIFEST} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _rejected(f"{MANIFEST} is not JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _rejected(f"{MANIFEST} does not have format {FORMAT}, the only supported one")
    if manifest.get("id") != _identity(manifest):
        raise _rejected(f"{MANIFEST} was altered after it was written: its id does not match its content")
    return manifest


def _check_files(path: Path, manifest: Mapping[str, Any]) -> None:
    for name, digest in {**manifest["files"], CARD: None}.items():
        if not (path / name).is_file():
            raise _rejected(f"{name} is missing")
        if digest is not None and _digest(path / name) != digest:
            raise _rejected(f"{name} does not match its digest in the manifest")
    if manifest["encoder"] == ENCODER and not any(name.startswith(f"{ENCODER}/") for name in manifest["files"]):
        raise _rejected(f"{ENCODER}/ is missing")


def _assembled(path: Path, manifest: Mapping[str, Any]) -> Bundle:
    arrays = tensors.load_file(path / POPULATION)
    extractors = {Modality(m): Extractor(**e) for m, e in manifest["extractors"].items()}
    equivalents = by_modality(read_equivalents(path, manifest["id"]))
    space = FeatureSpace(extractors, tuple(manifest["acoustic"]), arrays["centre"], arrays["axes"], equivalents)
    kind, config = manifest["head"]["kind"], manifest["head"]["config"]
    bundle = Bundle(
        name=manifest["name"],
        space=space,
        markers=tuple(manifest["markers"]),
        silent=tuple(manifest["silent"]),
        population=Population(
            arrays["mean"],
            arrays["within"],
            arrays["memos"],
            *(float(arrays[name][0]) for name in ("freedom", "mood", "patience")),
        ),
        head=restore(kind, config, tensors.load_file(path / HEAD)),
        first=_first(path, kind, manifest["first"]),
        calibration=Calibration.from_json(manifest["calibration"]),
        bands=Bands(**manifest["bands"]),
        window_mean=arrays["window_mean"],
        window_sd=arrays["window_sd"],
        encoder=manifest["encoder"],
        window_s=float(manifest.get("window_s", WINDOW_S)),
        training=manifest["training"],
        path=path,
        id=manifest["id"],
    )
    _check_fit(bundle)
    return bundle


def _first(path: Path, kind: str, entry: Mapping[str, Any] | None) -> First | None:
    if entry is None:
        return None
    head = restore(kind, entry["config"], tensors.load_file(path / FIRST))
    return First(head, Calibration.from_json(entry["calibration"]))


def _check_fit(bundle: Bundle) -> None:
    """Raises ValueError when the parts differ in size, or are not finite."""
    features, people = len(bundle.names), bundle.population
    if not {*bundle.markers, *bundle.silent} <= {*bundle.names}:
        raise ValueError("markers contain features that the bundle lacks")
    if any(a.shape != (features,) or not np.isfinite(a).all() for a in (people.mean, people.within, people.memos)):
        raise ValueError("population statistics have the wrong size or are not finite")
    if min(people.within.min(), people.memos.min(), people.freedom, people.patience) <= 0:
        raise ValueError("population variances and patience must be positive")
    if not (np.isfinite([people.freedom, people.mood, people.patience]).all() and people.mood >= 0):
        raise ValueError("the population's freedom, mood and patience must be finite, mood not negative")
    if not 0 <= bundle.bands.low <= bundle.bands.threshold <= bundle.bands.high <= 1:
        raise ValueError("the bands are not in order")
    for head in (bundle.head, *([bundle.first.head] if bundle.first else [])):
        if head.config()["features"] != features:
            raise ValueError("a head's features are not the bundle's")
        if not all(np.isfinite(w).all() for w in head.weights().values()):
            raise ValueError("a head has weights that are not finite")
        if head.kind in SEQUENTIAL and head.config()["window"] != len(bundle.window_mean):
            raise ValueError("a head's window size is not the bundle's")


def _identity(manifest: Mapping[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != "id"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{manifest.get('name')}-{digest[:12]}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rejected(why: str) -> ConfigurationError:
    return ConfigurationError(f"the bundle cannot be used: {why}; set UNDERTONE_BUNDLE to a complete one")
