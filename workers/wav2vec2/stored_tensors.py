"""Read the encoder's tensors from safetensors files: exactly, or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from schemas.errors import ConfigurationError
from schemas.events import FloatArray

DTYPES = {
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),  # importing ml_dtypes also lets safetensors read it
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}
"""Element types of plain weights, by the name that safetensors gives them."""

_PREFIX = "wav2vec2."
_HEAD = "lm_head."
_NOT_THE_ENCODER = (
    "masked_spec_embed",
    "quantizer.",
    "project_hid.",
    "project_q.",
    "classifier.",
    "projector.",
    "layer_weights",
)
"""Parts of Hugging Face's classes that act in training or after the encoder."""


@dataclass(frozen=True, slots=True)
class StoredTensors(Mapping[str, FloatArray]):
    """Tensors by name, float32, each read from its file on access.

    Loaded at once they would double the encoder's memory, 360 MB at base size. places: file of each, and its name
    there; computed: those that no file contains in this form. Access raises ConfigurationError when the file cannot be
    read.
    """

    places: Mapping[str, tuple[Path, str]]
    computed: Mapping[str, FloatArray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> FloatArray:
        """The tensor. Raises KeyError for an unknown name."""
        if name in self.computed:
            return self.computed[name]
        file, stored_name = self.places[name]
        with _opened(file) as tensors:
            return np.asarray(tensors.get_tensor(stored_name), np.float32)  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        yield from self.computed
        yield from self.places

    def __len__(self) -> int:
        """Number of tensors."""
        return len(self.computed) + len(self.places)


def stored_tensors(files: list[Path]) -> StoredTensors:
    """Every tensor of the encoder and its CTC head, by its name without prefix.

    Parts of other classes, such as a quantiser of training or a classifier, are left out. Raises ConfigurationError
    that names the tensor if one is stored twice, or as another type than the four float types of plain weights.
    """
    found: dict[str, tuple[Path, str]] = {}
    types: dict[str, str] = {}
    for file in files:
        with _opened(file) as tensors:
            for name in tensors.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118 - not a mapping
                if name in found:
                    raise ConfigurationError(
                        f"the checkpoint has the tensor {name} in {found[name][0].name} and {file.name}"
                    )
                found[name] = (file, name)
                types[name] = str(tensors.get_slice(name).get_dtype())  # type: ignore[no-untyped-call]
    places = _of_the_encoder(found)
    for _, name in places.values():
        if types[name] not in DTYPES:
            raise ConfigurationError(
                f"the checkpoint's tensor {name} is stored as {types[name]}: it is quantised; name a checkpoint whose "
                f"weights are {', '.join(DTYPES)}"
            )
    return StoredTensors(places)


def _of_the_encoder(found: Mapping[str, tuple[Path, str]]) -> dict[str, tuple[Path, str]]:
    """By bare name. Where some names have the prefix, names without it belong to heads, but for the CTC head."""
    prefixed = any(name.startswith(_PREFIX) for name in found)
    bare = {
        name.removeprefix(_PREFIX): place
        for name, place in found.items()
        if not prefixed or name.startswith((_PREFIX, _HEAD))
    }
    return {name: place for name, place in bare.items() if not name.startswith(_NOT_THE_ENCODER)}


@contextmanager
def _opened(file: Path) -> Iterator[safe_open]:
    try:
        with safe_open(file, framework="np") as tensors:
            yield tensors
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{file.name} of the checkpoint is not a readable safetensors file") from error
