"""One version, whether Undertone is installed or runs from a checkout."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from schemas import version as module
from schemas.version import DISTRIBUTION, version

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]


def missing(_: str) -> str:
    raise metadata.PackageNotFoundError


def test_the_name_is_that_of_the_project() -> None:
    assert PROJECT["name"] == DISTRIBUTION


def test_a_checkout_has_the_version_of_its_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", missing)
    assert version() == PROJECT["version"]


def test_an_installation_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", {DISTRIBUTION: "7.0"}.__getitem__)
    assert version() == "7.0"


def test_a_copy_without_either_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(module, "_PROJECT", tmp_path / "pyproject.toml")
    with pytest.raises(metadata.PackageNotFoundError):
        version()
