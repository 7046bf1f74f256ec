"""The wheel has what an installation needs and nothing else; images and the list of components name the one version."""

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

from deploy.distribution import PACKAGES, archive_faults, components_faults, packaged_files, project, wheel_faults

ROOT = Path(__file__).parent.parent.parent
NAMED = project()["project"]
BUILD = "from setuptools import build_meta as b; print(b.build_wheel('dist')); print(b.build_sdist('dist'))"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source archive, built from a copy of the packages."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "benchmarks"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, check=True)
    return copy / "dist"


@pytest.fixture
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def without(wheel: Path, dropped: str, to: Path) -> Path:
    """A copy of the wheel that lacks one file and has one of another kind."""
    with ZipFile(wheel) as old, ZipFile(to / wheel.name, "w") as new:
        for name in old.namelist():
            if name != dropped:
                new.writestr(name, old.read(name))
        new.writestr("tests/test_it.py", "")
    return to / wheel.name


def test_the_wheel_is_complete_and_has_no_tests(wheel: Path) -> None:
    assert list(wheel_faults(wheel)) == []
    assert wheel.name == f"{NAMED['name'].replace('-', '_')}-{NAMED['version']}-py3-none-any.whl"


def test_the_source_archive_builds_the_wheel(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    assert list(archive_faults(archive)) == []
    with tarfile.open(archive) as tar:
        assert not [name for name in tar.getnames() if "__pycache__" in name or "/tests/" in name]


def test_what_is_missing_or_too_much_is_found(wheel: Path, tmp_path: Path) -> None:
    dropped = "workers/acoustic/onepass.conf"
    assert dropped in packaged_files()
    assert list(wheel_faults(without(wheel, dropped, tmp_path))) == [
        f"{wheel.name} lacks {dropped}",
        f"{wheel.name} should not contain tests/test_it.py",
    ]


def test_every_data_file_of_the_packages_is_packaged() -> None:
    tracked = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    unpackaged = tracked - packaged_files()
    assert {name for name in unpackaged if Path(name).name != "digests.txt"} == set()


def labels(dockerfile: Path) -> Iterator[tuple[str, str]]:
    text = dockerfile.read_text().replace("\\\n", " ")
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    for line in re.findall(r"^LABEL (.*)$", text, re.MULTILINE):
        for name, value in re.findall(r'([\w.]+)="([^"]*)"', line):
            yield name, re.sub(r"\$(\w+)", lambda match: arguments[match[1]], value)


@pytest.mark.parametrize("name", ["Dockerfile.streams", "Dockerfile.workers"])
def test_images_are_labelled_with_title_version_revision_and_licence(name: str) -> None:
    found = dict(labels(ROOT / "deploy" / name))
    prefix = "org.opencontainers.image"
    assert found[f"{prefix}.version"] == NAMED["version"]
    assert found[f"{prefix}.licenses"] == NAMED["license"]
    assert found[f"{prefix}.revision"] == "unknown", "the builder gives it"
    assert found[f"{prefix}.title"].startswith("Undertone")
    (base,) = {line.split()[1] for line in (ROOT / "deploy" / name).read_text().splitlines() if "FROM python:" in line}
    assert found[f"{prefix}.base.name"] == base


def test_the_newest_change_has_its_date() -> None:
    headings = re.findall(r"^## \[(.+?)\](.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [(version, rest) for version, rest in headings if version != "Unreleased"]
    assert released[0][0] == NAMED["version"]
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", rest) for _, rest in released)
    dates = [rest for _, rest in released]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.skipif(find_spec("cyclonedx_py") is None, reason="make dist installs cyclonedx-bom")
def test_the_list_of_components_has_every_pinned_requirement(tmp_path: Path) -> None:
    made = tmp_path / "undertone.cdx.json"
    recipe = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (arguments,) = re.findall(r"^\t\$\(BIN\)/cyclonedx-py (.*) -o .*$", recipe, re.MULTILINE)
    words = arguments.replace("$(REQUIREMENTS)", "deploy/requirements").split()
    subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *words, "-o", made], cwd=ROOT, capture_output=True, check=True
    )
    assert list(components_faults(made)) == []
