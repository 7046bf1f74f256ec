from pathlib import Path

from workers.wav2vec2.engines.processor import features, has_accelerator, model, vendor

TWO_CORES = """processor : 0
vendor_id : AuthenticAMD
model name : A Processor
flags : fpu avx2 avx512f avx512_vnni amx_bf16
processor : 1
model name : A Processor
flags : fpu avx2 avx512f avx512_vnni
"""


def test_features_are_those_that_every_core_has(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(TWO_CORES)
    assert features(tmp_path / "cpuinfo") == {"avx2", "avx512f", "avx512_vnni"}
    assert model(tmp_path / "cpuinfo") == "A Processor"
    assert vendor(tmp_path / "cpuinfo") == "AuthenticAMD"


def test_a_system_that_does_not_tell_has_none_and_an_architecture(tmp_path: Path) -> None:
    assert features(tmp_path / "absent") == frozenset()
    assert model(tmp_path / "absent")
    assert vendor(tmp_path / "absent") == ""


def test_an_accelerator_is_a_device_file(tmp_path: Path) -> None:
    assert not has_accelerator(tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert not has_accelerator(tmp_path), "a driver without a device"
    (tmp_path / "nvidia0").touch()
    assert has_accelerator(tmp_path)
