"""What this machine computes with: instruction sets of its processor, and whether it has an accelerator."""

import platform
from collections.abc import Iterable
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
DEVICES = Path("/dev")
ACCELERATORS = ("nvidia[0-9]*", "kfd", "dxg", "accel/accel*")
"""Device files: of NVIDIA, of AMD, of either under Windows' Linux, of TPUs and the like."""
FEATURES = frozenset({"avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd"})
"""The instruction sets that a choice of engine depends on, as Linux names them."""


def features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Those of FEATURES that every core of the processor has; none where the system does not tell."""
    return frozenset(_flags(_lines(cpuinfo))) & FEATURES


def model(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name, or its architecture where the system does not tell."""
    return _told("model name", cpuinfo) or platform.machine()


def vendor(cpuinfo: Path = CPUINFO) -> str:
    """Who made the processor, as `AuthenticAMD`; empty where the system does not tell."""
    return _told("vendor_id", cpuinfo)


def has_accelerator(devices: Path = DEVICES) -> bool:
    """Whether the system shows an accelerator's device file."""
    return any(next(devices.glob(pattern), None) is not None for pattern in ACCELERATORS)


def _told(name: str, cpuinfo: Path) -> str:
    """The first value of that name; empty without one."""
    return next((line.partition(":")[2].strip() for line in _lines(cpuinfo) if line.startswith(name)), "")


def _lines(cpuinfo: Path) -> list[str]:
    try:
        return cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _flags(lines: Iterable[str]) -> set[str]:
    cores = [set(line.partition(":")[2].split()) for line in lines if line.startswith(("flags", "Features"))]
    return set.intersection(*cores) if cores else set()
