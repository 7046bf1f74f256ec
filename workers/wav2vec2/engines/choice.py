"""Which engine computes: as the setting says, or `auto` by what is installed and what the processor has."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from workers.wav2vec2.engines import processor
from workers.wav2vec2.engines.engine import EngineName, not_installed

RUNTIMES: dict[EngineName, tuple[str, ...]] = {
    "xla": ("tensorflow",),
    "openvino": ("openvino",),
    "onnx": ("onnx", "onnxruntime"),
}
"""The modules that each engine needs, in the order in which `auto` falls back."""


AMD = "AuthenticAMD"
INT8 = {"amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX-VNNI"}
"""Instructions that sum products of 8 bits, without which int8 is inexact or slow."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a choice depends on.

    features: of the processor, as `processor.features`; accelerator: whether there is one; installed: engines whose
    runtime is; keras_backend: the one that KERAS_BACKEND names, TensorFlow if none; vendor: of the processor.
    """

    features: frozenset[str]
    accelerator: bool
    installed: frozenset[EngineName]
    keras_backend: str = "tensorflow"
    vendor: str = ""

    @property
    def gains_by_bfloat16(self) -> bool:
        """Whether OpenVINO is quicker in bfloat16: with AMX, and with AMD's AVX-512 BF16.

        On an EPYC it was 1.9 times as fast as ONNX Runtime in float32; on a Xeon held to AVX-512 BF16 0.8 times.
        """
        return "amx_bf16" in self.features or ("avx512_bf16" in self.features and self.vendor == AMD)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that computes, and why in a few words."""

    engine: EngineName
    reason: str


def choose(machine: Machine, precision: str) -> Choice:
    """What `auto` takes on a machine. Pure.

    Raises ConfigurationError where no runtime is installed, and for int8 where nothing computes it quickly.
    """
    if precision == "int8":
        return _choose_int8(machine)
    usual: EngineName = "xla"
    reason = "the processor has no AVX-512, where XLA is the quickest"
    if machine.keras_backend != "tensorflow":
        # Whoever sets it wants that backend, and its own installation says whether it is there.
        return Choice("xla", f"KERAS_BACKEND names {machine.keras_backend}")
    if machine.accelerator:
        reason = "the machine has an accelerator"
    elif precision == "bfloat16" and not machine.gains_by_bfloat16:
        reason = "OpenVINO gains by bfloat16 only with AMX or on AMD"
    elif "avx512f" in machine.features:
        usual, reason = "openvino", f"the processor has {_best(machine.features)}"
    if usual in machine.installed:
        return Choice(usual, reason)
    for engine in RUNTIMES:
        if engine in machine.installed:
            return Choice(engine, f"{usual} is not installed")
    raise ConfigurationError("embeddings need TensorFlow, or one of the extras openvino and onnx: none is installed")


def _choose_int8(machine: Machine) -> Choice:
    found = next((each for each in INT8 if each in machine.features), None)
    if found is None:
        raise ConfigurationError(
            "UNDERTONE_PRECISION=int8 gains nothing here: the processor has neither AVX-512 VNNI nor AVX-VNNI nor AMX; "
            "set it to float32"
        )
    if "openvino" not in machine.installed:
        raise ConfigurationError("UNDERTONE_PRECISION=int8 needs OpenVINO: install the extra openvino, or set float32")
    return Choice("openvino", f"the processor has {INT8[found]}")


def chosen(settings: Settings) -> Choice:
    """The engine that the settings ask for, on this machine.

    Raises ConfigurationError as `choose` does, and for TensorFlow by name where it is not installed.
    """
    if settings.engine != "auto":
        machine = this_machine()
        if settings.engine == "xla" and machine.keras_backend == "tensorflow" and "xla" not in machine.installed:
            raise not_installed("xla", *RUNTIMES["xla"])
        return Choice(settings.engine, "UNDERTONE_ENGINE names it")
    return choose(this_machine(), settings.precision)


@cache
def this_machine() -> Machine:
    """The machine that this process runs on. Loads no runtime."""
    return Machine(
        features=processor.features(),
        accelerator=processor.has_accelerator(),
        installed=frozenset(name for name, modules in RUNTIMES.items() if _all_installed(modules)),
        keras_backend=os.environ.get("KERAS_BACKEND") or "tensorflow",
        vendor=processor.vendor(),
    )


def _all_installed(modules: Collection[str]) -> bool:
    return all(find_spec(module) is not None for module in modules)


def _best(features: frozenset[str]) -> str:
    best = next((each for each in ("amx_bf16", "avx512_vnni") if each in features), "avx512f")
    return {"amx_bf16": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx512f": "AVX-512"}[best]
