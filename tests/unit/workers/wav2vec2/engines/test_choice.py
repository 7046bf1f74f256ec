"""What `auto` takes: a table over processors, installed runtimes and precisions."""

from typing import Any

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from workers.wav2vec2.engines.choice import Choice, Machine, choose, chosen, this_machine
from workers.wav2vec2.engines.engine import EngineName

AVX2 = frozenset({"avx2"})
AVX512 = AVX2 | {"avx512f"}
VNNI = AVX512 | {"avx512_vnni", "avx512_bf16"}
AMX = VNNI | {"amx_bf16", "amx_int8"}
ALL: frozenset[EngineName] = frozenset({"xla", "openvino", "onnx"})


@pytest.mark.parametrize(
    ("features", "precision", "changed", "engine"),
    [
        (AVX2, "float32", {}, "xla"),
        (frozenset({"asimd"}), "float32", {}, "xla"),
        (AVX512, "float32", {}, "openvino"),
        (VNNI, "float32", {}, "openvino"),
        (AMX, "float32", {}, "openvino"),
        (AMX, "bfloat16", {}, "openvino"),
        (VNNI, "bfloat16", {}, "xla"),
        (VNNI, "bfloat16", {"vendor": "GenuineIntel"}, "xla"),
        (VNNI, "bfloat16", {"vendor": "AuthenticAMD"}, "openvino"),
        (AVX512, "bfloat16", {"vendor": "AuthenticAMD"}, "xla"),
        (AMX, "bfloat16", {"accelerator": True}, "xla"),
        (AMX, "float32", {"accelerator": True}, "xla"),
        (AMX, "float32", {"keras_backend": "jax"}, "xla"),
        (AMX, "float32", {"keras_backend": "jax", "installed": frozenset({"openvino"})}, "xla"),
        (AMX, "float32", {"installed": frozenset({"xla", "onnx"})}, "xla"),
        (AVX2, "float32", {"installed": frozenset({"openvino", "onnx"})}, "openvino"),
        (AVX2, "float32", {"installed": frozenset({"onnx"})}, "onnx"),
        (VNNI, "int8", {}, "openvino"),
        (AVX2 | {"avx_vnni"}, "int8", {"installed": frozenset({"openvino"})}, "openvino"),
    ],
)
def test_auto_takes_the_quickest_that_is_there(
    features: frozenset[str], precision: str, changed: dict[str, Any], engine: str
) -> None:
    given: dict[str, Any] = {"features": features, "accelerator": False, "installed": ALL}
    choice = choose(Machine(**given | changed), precision)
    assert choice.engine == engine
    assert choice.reason


def test_without_any_runtime_it_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="extras openvino and onnx"):
        choose(Machine(AVX2, accelerator=False, installed=frozenset()), "float32")


@pytest.mark.parametrize(
    ("features", "installed", "told"),
    [(AVX512, ALL, "neither AVX-512 VNNI"), (AMX, ALL - {"openvino"}, "extra openvino")],
)
def test_int8_is_refused_where_nothing_computes_it(
    features: frozenset[str], installed: frozenset[EngineName], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        choose(Machine(features, accelerator=False, installed=installed), "int8")


def test_a_setting_has_its_way() -> None:
    assert chosen(Settings.load(engine="onnx")) == Choice("onnx", "UNDERTONE_ENGINE names it")


def test_auto_is_about_this_machine() -> None:
    assert chosen(Settings.load()).engine in this_machine().installed
