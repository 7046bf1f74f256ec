"""Load a Hugging Face Wav2Vec2 checkpoint from a folder or the hub, and validate every tensor."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import huggingface_hub
import numpy as np
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors.numpy import save_file

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.stored_tensors import StoredTensors, stored_tensors

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
"""Where transformers 5 saves the feature extractor of a processor, under `feature_extractor`."""
ADAPTER = "adapter_config.json"
"""Says that the folder's weights are changes to another checkpoint's (PEFT)."""
FILES = (CONFIG, PREPROCESSOR, PROCESSOR, ADAPTER, INDEX, "model*.safetensors")
FEATURE_EXTRACTOR = "Wav2Vec2FeatureExtractor"

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
    if (folder / ADAPTER).is_file():
        raise ConfigurationError(
            f"the checkpoint has an {ADAPTER}: its weights are an adapter of another checkpoint; merge the two "
            "(merge_and_unload of peft) and name the result"
        )
    config = EncoderConfig.parse(_read_json(folder / CONFIG))
    files = _weight_files(folder)
    return Checkpoint(
        config=config,
        weights=_checked(stored_tensors(files), config),
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
            "feature_extractor_type": FEATURE_EXTRACTOR,
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


def fetch(source: str, files: Sequence[str] = FILES) -> Path:
    """The folder named by `source`, downloaded to the hub's cache if it is a hub name.

    files: patterns of those that are downloaded. Raises ConfigurationError when it is neither a folder nor a checkpoint
    in the hub or its cache.
    """
    if Path(source).is_dir():
        return Path(source)
    name, _, revision = source.partition("@")
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise ConfigurationError("the encoder is neither a folder nor a hub name such as facebook/wav2vec2-base-960h")
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=list(files)))
    except HFValidationError as error:
        raise ConfigurationError(f"{name!r} is neither a folder nor a hub name") from error
    except (HfHubHTTPError, OSError) as error:
        where = f"{name} at revision {revision}" if revision else name
        raise ConfigurationError(
            f"the encoder {where} is not in the hub's cache, and the download failed ({type(error).__name__}); "
            "check its name, its revision and HF_HUB_OFFLINE, or name a local folder"
        ) from error


def pinned(source: str) -> str:
    """The same checkpoint by a name that stays: a folder as it is, a hub name with the revision that `fetch` found.

    Raises ConfigurationError as `fetch` does.
    """
    if Path(source).is_dir():
        return source
    return f"{source.partition('@')[0]}@{fetch(source).name}"


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
    """Whether the feature extractor normalises: by its own file, by its processor's, or by default."""
    found = {name: _do_normalize(values, name) for name, values in _feature_extractors(folder)}
    if len(set(found.values())) > 1:
        raise ConfigurationError(
            f"{PREPROCESSOR} and {PROCESSOR} of the checkpoint disagree on do_normalize; remove the wrong one"
        )
    # Wav2Vec2FeatureExtractor normalises by default.
    return next(iter(found.values()), True)


def _feature_extractors(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    if (folder / PREPROCESSOR).is_file():
        yield PREPROCESSOR, _read_json(folder / PREPROCESSOR)
    if (folder / PROCESSOR).is_file():
        nested = _read_json(folder / PROCESSOR).get("feature_extractor")
        if isinstance(nested, dict):
            yield PROCESSOR, nested
        elif nested is not None:
            raise ConfigurationError(f"feature_extractor in {PROCESSOR} of the checkpoint is not a JSON object")


def _do_normalize(values: Mapping[str, object], name: str) -> bool:
    kind = values.get("feature_extractor_type", FEATURE_EXTRACTOR)
    if kind != FEATURE_EXTRACTOR:
        raise ConfigurationError(f"{name} of the checkpoint names the {kind}; only {FEATURE_EXTRACTOR} is supported")
    if values.get("sampling_rate", SAMPLING_RATE) != SAMPLING_RATE:
        raise ConfigurationError(f"the checkpoint's sampling rate is not {SAMPLING_RATE} Hz")
    normalises = values.get("do_normalize", True)
    if not isinstance(normalises, bool):
        raise ConfigurationError(f"do_normalize in {name} of the checkpoint must be true or false")
    return normalises


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


def _checked(stored: StoredTensors, config: EncoderConfig) -> StoredTensors:
    """The configuration's tensors. Raises ConfigurationError if one is missing, misshapen, not finite, or too many."""
    shapes = config.shapes()
    if "lm_head.weight" in stored:
        shapes |= config.head_shapes()
    positional = f"{_POSITIONAL}.weight"
    spellings = [names for names in ((positional,), *_WEIGHT_NORMS) if any(name in stored for name in names)]
    if len(spellings) > 1:
        raise ConfigurationError(f"the checkpoint has {spellings[0][0]} and {spellings[1][0]}: remove one")
    _check_names(stored, {*shapes, *(spellings[0] if spellings else ())})
    folded = _folded(stored, shapes[positional])
    for name, shape in shapes.items():
        value = folded if folded is not None and name == positional else _shaped(stored, name, shape)
        if not np.isfinite(value).all():
            raise ConfigurationError(f"the checkpoint's tensor {name} has values that are not finite")
    computed = {} if folded is None else {positional: folded}
    return StoredTensors({name: stored.places[name] for name in shapes if name not in computed}, computed)


def _check_names(stored: StoredTensors, known: set[str]) -> None:
    """Raises ConfigurationError for a tensor that this encoder would leave out."""
    extra = sorted(set(stored) - known)
    if extra:
        raise ConfigurationError(
            f"the checkpoint has the tensor {extra[0]}{f' and {len(extra) - 1} more' if extra[1:] else ''}, which a "
            "Wav2Vec2 encoder of its configuration lacks: it is quantised or adapted, or its config.json is "
            "another's; name the plain float checkpoint, or save it dequantised and merged"
        )


def _folded(stored: StoredTensors, shape: tuple[int, ...]) -> FloatArray | None:
    """Weight from gain and direction: gain × direction / ‖direction‖, norm over all axes but taps; None without."""
    for gain_name, direction_name in _WEIGHT_NORMS:
        if gain_name in stored or direction_name in stored:
            gain, direction = _shaped(stored, gain_name, (1, 1, shape[2])), _shaped(stored, direction_name, shape)
            norm = np.sqrt(np.square(direction, dtype=np.float64).sum(axis=(0, 1), keepdims=True))
            folded: FloatArray = (gain * (direction / norm)).astype(np.float32)
            return folded
    return None


def _shaped(stored: StoredTensors, name: str, shape: tuple[int, ...]) -> FloatArray:
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
