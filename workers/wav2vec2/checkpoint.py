"""Load a Hugging Face Wav2Vec2 checkpoint from a folder or the hub, and validate every tensor."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.config import EncoderConfig

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

_PREFIX = "wav2vec2."
_PARTS = ("feature_extractor.", "feature_projection.", "encoder.", "lm_head.")
"""The parts of a checkpoint that are read; the rest, such as a quantiser, is ignored."""
_POSITIONAL = "encoder.pos_conv_embed.conv"
_WEIGHT_NORMS = (
    (f"{_POSITIONAL}.weight_g", f"{_POSITIONAL}.weight_v"),
    (f"{_POSITIONAL}.parametrizations.weight.original0", f"{_POSITIONAL}.parametrizations.weight.original1"),
)
"""Gain and direction of the positional convolution's weight norm: PyTorch's older names and its newer ones."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint.

    weights: float32 by Hugging Face name without prefix, every tensor in `config.shapes()`, and those in
    `config.head_shapes()` if the checkpoint has a CTC head; `load` reads each of them lazily. normalise: whether
    signals are first scaled to zero mean and unit variance; weights_hash: SHA-256 (hex) of the weight files.
    """

    config: EncoderConfig
    weights: Mapping[str, FloatArray]
    normalise: bool
    weights_hash: str

    @property
    def has_head(self) -> bool:
        """Whether it has a CTC head."""
        return "lm_head.weight" in self.weights

    @property
    def version(self) -> str:
        """Digest of the configuration, which, besides the weights, determines the embeddings."""
        return f"{self.config.digest}-{'normalised' if self.normalise else 'raw'}"


def load(source: str) -> Checkpoint:
    """Load a checkpoint from a folder or by hub name with an optional `@revision`.

    Respects HF_HUB_OFFLINE and the hub's cache. Raises ConfigurationError that names what is missing or invalid.
    """
    folder = fetch(source)
    values = _read_json(folder / CONFIG)
    config = EncoderConfig.parse(values)
    files = _weight_files(folder)
    return Checkpoint(
        config=config,
        weights=_checked(_stored(files), config),
        normalise=_normalises(folder),
        weights_hash=_digest(files),
    )


def save(folder: Path, config: EncoderConfig, weights: Mapping[str, FloatArray]) -> None:
    """Write a checkpoint for `load` and Hugging Face's own classes: float16, signals normalised.

    weights: by name, as in `Checkpoint`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spread = dict(weights)
    direction = spread.pop(f"{_POSITIONAL}.weight")
    gain_name, direction_name = _WEIGHT_NORMS[1]
    spread |= {gain_name: np.linalg.norm(direction, axis=(0, 1), keepdims=True), direction_name: direction}
    tensors = {name: np.ascontiguousarray(value, np.float16) for name, value in spread.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    architecture = {"model_type": "wav2vec2", "architectures": ["Wav2Vec2Model"], "dtype": "float16"}
    _write_json(folder / CONFIG, architecture | asdict(config))
    _write_json(
        folder / PREPROCESSOR,
        {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "sampling_rate": SAMPLING_RATE,
            "padding_side": "right",
            "padding_value": 0.0,
            "do_normalize": True,
            "return_attention_mask": config.feat_extract_norm == "layer",
        },
    )


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def fetch(source: str) -> Path:
    """The folder named by `source`, downloaded to the hub's cache if it is a hub name.

    Raises ConfigurationError when it is neither a folder nor a checkpoint in the hub or its cache.
    """
    if Path(source).is_dir():
        return Path(source)
    name, _, revision = source.partition("@")
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise ConfigurationError("the encoder is neither a folder nor a hub name such as facebook/wav2vec2-base-960h")
    patterns = [CONFIG, PREPROCESSOR, INDEX, "model*.safetensors"]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except HFValidationError as error:
        raise ConfigurationError(f"{name!r} is neither a folder nor a hub name") from error
    except (HfHubHTTPError, OSError) as error:
        where = f"{name} at revision {revision}" if revision else name
        raise ConfigurationError(
            f"the encoder {where} is not in the hub's cache, and the download failed ({type(error).__name__}); "
            "check its name, its revision and HF_HUB_OFFLINE, or name a local folder"
        ) from error


def _read_json(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"the checkpoint has no {path.name}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} of the checkpoint cannot be read: {type(error).__name__}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path.name} of the checkpoint is not a JSON object")
    return values


def _normalises(folder: Path) -> bool:
    # Wav2Vec2FeatureExtractor normalises by default.
    if not (folder / PREPROCESSOR).is_file():
        return True
    values = _read_json(folder / PREPROCESSOR)
    if values.get("sampling_rate", SAMPLING_RATE) != SAMPLING_RATE:
        raise ConfigurationError(f"the checkpoint's sampling rate is not {SAMPLING_RATE} Hz")
    return bool(values.get("do_normalize", True))


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise ConfigurationError(
            f"the checkpoint has neither {WEIGHTS} nor {INDEX}; convert its weights to safetensors"
        )
    shards = _read_json(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(s, str) and Path(s).name == s for s in shards.values()):
        raise ConfigurationError(f"{INDEX} of the checkpoint has no weight_map of file names")
    files = [folder / name for name in sorted(set(shards.values()))]
    for file in files:
        if not file.is_file():
            raise ConfigurationError(f"the checkpoint lacks {file.name}, which {INDEX} names")
    return files


@dataclass(frozen=True, slots=True)
class _Tensors(Mapping[str, FloatArray]):
    """Tensors by name, float32, each read from its file on access.

    Loaded at once they would double the encoder's memory, 360 MB at base size. places: file of each, and its name
    there; computed: those that no file contains in this form.
    """

    places: Mapping[str, tuple[Path, str]]
    computed: Mapping[str, FloatArray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> FloatArray:
        if name in self.computed:
            return self.computed[name]
        file, stored_name = self.places[name]
        with _opened(file) as tensors:
            return np.asarray(tensors.get_tensor(stored_name), np.float32)  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[str]:
        yield from self.computed
        yield from self.places

    def __len__(self) -> int:
        return len(self.computed) + len(self.places)


@contextmanager
def _opened(file: Path) -> Iterator[safe_open]:
    try:
        with safe_open(file, framework="np") as tensors:
            yield tensors
    except (SafetensorError, OSError, TypeError) as error:
        raise ConfigurationError(f"{file.name} of the checkpoint is not a readable safetensors file") from error


def _stored(files: list[Path]) -> _Tensors:
    """Every tensor of the encoder and its head, by its name without prefix."""
    places = {}
    for file in files:
        with _opened(file) as tensors:
            for name in tensors.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118 - not a mapping
                bare = name.removeprefix(_PREFIX)
                if bare.startswith(_PARTS):
                    places[bare] = (file, name)
    return _Tensors(places)


def _checked(stored: _Tensors, config: EncoderConfig) -> _Tensors:
    """The configuration's tensors. Raises ConfigurationError if one is missing, misshapen or not finite."""
    shapes = config.shapes()
    if "lm_head.weight" in stored:
        shapes |= config.head_shapes()
    positional = f"{_POSITIONAL}.weight"
    folded = _folded(stored, shapes[positional])
    for name, shape in shapes.items():
        value = folded if folded is not None and name == positional else _shaped(stored, name, shape)
        if not np.isfinite(value).all():
            raise ConfigurationError(f"the checkpoint's tensor {name} has values that are not finite")
    computed = {} if folded is None else {positional: folded}
    return _Tensors({name: stored.places[name] for name in shapes if name not in computed}, computed)


def _folded(stored: _Tensors, shape: tuple[int, ...]) -> FloatArray | None:
    """Weight from gain and direction: gain × direction / ‖direction‖, norm over all axes but taps; None without."""
    for gain_name, direction_name in _WEIGHT_NORMS:
        if gain_name in stored or direction_name in stored:
            gain, direction = _shaped(stored, gain_name, (1, 1, shape[2])), _shaped(stored, direction_name, shape)
            norm = np.sqrt(np.square(direction, dtype=np.float64).sum(axis=(0, 1), keepdims=True))
            folded: FloatArray = (gain * (direction / norm)).astype(np.float32)
            return folded
    return None


def _shaped(stored: _Tensors, name: str, shape: tuple[int, ...]) -> FloatArray:
    if name not in stored:
        raise ConfigurationError(f"the checkpoint lacks the tensor {name}")
    value = stored[name]
    if value.shape != shape:
        raise ConfigurationError(
            f"the checkpoint's tensor {name} has shape {value.shape}; its configuration says {shape}"
        )
    return value


def _digest(files: list[Path]) -> str:
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256"))
    # One file has the digest that the hub shows for it; shards have the digest of their digests.
    return (
        digests[0].hexdigest() if len(files) == 1 else hashlib.sha256(b"".join(d.digest() for d in digests)).hexdigest()
    )
