"""Tensors are read exactly or refused by name: float types convert, quantised and foreign ones never load."""

import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, random_weights, write
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.stored_tensors import stored_tensors

PROJECTION = "encoder.layers.0.attention.q_proj"


def rewritten(file: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """A safetensors file of any element types: name, then type, shape and bytes."""
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


def as_stored(weights: dict[str, FloatArray]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: ("F32", value.shape, value.tobytes()) for name, value in weights.items()}


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("F16", np.float16), ("BF16", ml_dtypes.bfloat16), ("F64", np.float64), ("F32", np.float32)],
)
def test_float_types_are_converted_exactly(tmp_path: Path, stored: str, dtype: type) -> None:
    weights: dict[str, np.ndarray] = {name: value.astype(dtype) for name, value in random_weights(LAYER).items()}
    folder = write(tmp_path, LAYER, {})
    rewritten(
        folder / "model.safetensors",
        {name: (stored, value.shape, value.tobytes()) for name, value in weights.items()},
    )

    loaded = checkpoint.load(str(folder))

    for name, value in weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value.astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("I8", 1), ("U8", 1), ("F8_E4M3", 1), ("F8_E5M2", 1), ("F8_E4M3FNUZ", 1), ("I32", 4), ("BOOL", 1)],
)
def test_any_other_type_is_refused_by_name(tmp_path: Path, dtype: str, size: int) -> None:
    tensors = as_stored(random_weights(GROUP))
    shape = tensors[f"{PROJECTION}.weight"][1]
    tensors[f"{PROJECTION}.weight"] = (dtype, shape, bytes(size * int(np.prod(shape))))
    folder = write(tmp_path, GROUP, {})
    rewritten(folder / "model.safetensors", tensors)

    with pytest.raises(ConfigurationError, match=rf"{PROJECTION}\.weight is stored as {dtype}: it is quantised"):
        checkpoint.load(str(folder))


@pytest.mark.parametrize(
    "extra",
    [
        f"{PROJECTION}.SCB",  # bitsandbytes, 8 bits
        f"{PROJECTION}.weight.absmax",  # bitsandbytes, 4 bits
        f"{PROJECTION}.qweight",  # GPTQ and AWQ
        f"{PROJECTION}.weight_scale",  # float8
        f"{PROJECTION}.lora_A.weight",
        "encoder.layers.2.final_layer_norm.bias",  # a layer more than the configuration has
        "adapter.layers.0.conv.weight",
        "lm_head.weight_scale",
    ],
)
@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
def test_a_tensor_too_many_is_refused_by_name(tmp_path: Path, extra: str, prefix: str) -> None:
    weights = random_weights(GROUP) | {extra: np.ones(3, np.float32)}
    tensors = {name if name.startswith("lm_head") else prefix + name: value for name, value in weights.items()}

    with pytest.raises(ConfigurationError, match=extra.replace(".", r"\.")):
        checkpoint.load(str(write(tmp_path, GROUP, tensors)))


def test_parts_of_other_classes_are_left_out(tmp_path: Path) -> None:
    encoder = {f"wav2vec2.{name}": value for name, value in random_weights(GROUP, head=False).items()}
    others = ("wav2vec2.masked_spec_embed", "quantizer.codevectors", "classifier.weight", "feature_extractor.weight")
    file = tmp_path / "model.safetensors"
    save_file(encoder | dict.fromkeys(others, np.ones(2, np.float32)), file)

    assert set(stored_tensors([file])) == set(GROUP.shapes())


def test_a_tensor_in_two_files_is_named(tmp_path: Path) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        save_file({"encoder.layer_norm.bias": np.ones(2, np.float32)}, file)

    with pytest.raises(ConfigurationError, match=r"encoder\.layer_norm\.bias in a\.safetensors and b\.safetensors"):
        stored_tensors(files)
