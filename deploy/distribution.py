"""Check what `make dist` built: `python deploy/distribution.py FOLDER`.

The wheel has every module and data file of the packages and nothing else, the source archive has what the wheel is
built from, and names and versions are those of pyproject.toml, also in the list of components.
"""

import email
import json
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "workers", "streams")
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE")


def project(root: Path = ROOT) -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())


def packaged_files(root: Path = ROOT) -> set[str]:
    """Every file that belongs into a wheel: modules, and the data that they read."""
    data = project(root)["tool"]["setuptools"]["package-data"]
    patterns = [(package, "**/*.py") for package in PACKAGES]
    patterns += [(package, pattern) for package, globs in data.items() for pattern in globs]
    found = (path for package, pattern in patterns for path in (root / package).glob(pattern) if path.is_file())
    return {path.relative_to(root).as_posix() for path in found}


def wheel_faults(wheel: Path, root: Path = ROOT) -> Iterator[str]:
    """What a wheel lacks, has too much, or says wrongly."""
    named = project(root)["project"]
    with ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        info = email.message_from_bytes(archive.read(metadata))
        names = {name.rpartition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
    wanted = packaged_files(root)
    yield from (f"{wheel.name} lacks {name}" for name in sorted(wanted - files))
    yield from (f"{wheel.name} should not contain {name}" for name in sorted(files - wanted))
    for field in ("Name", "Version"):
        if info[field] != named[field.lower()]:
            yield f"{wheel.name} has the {field.lower()} {info[field]}, and not {named[field.lower()]}"
    if not {"LICENSE", "entry_points.txt"} <= names:
        yield f"{wheel.name} lacks its licence or its command"
    if "Private :: Do Not Upload" not in (info.get_all("Classifier") or ()):
        yield f"{wheel.name} could be uploaded to an index"


def archive_faults(archive: Path, root: Path = ROOT) -> Iterator[str]:
    """What a source archive lacks of that which the wheel is built from."""
    with tarfile.open(archive) as tar:
        files = {name.partition("/")[2] for name in tar.getnames()}
    yield from (f"{archive.name} lacks {name}" for name in sorted({*BUILT_FROM, *packaged_files(root)} - files))


def components_faults(components: Path, root: Path = ROOT) -> Iterator[str]:
    """Where a list of components (CycloneDX) differs from pyproject.toml or the pinned requirements."""
    document, named = json.loads(components.read_text()), project(root)["project"]
    ours = document["metadata"]["component"]
    if (ours["name"], ours["version"]) != (named["name"], named["version"]):
        yield f"{components.name} is of {ours['name']} {ours['version']}"
    lines = (root / "deploy" / "requirements" / "run.txt").read_text().splitlines()
    pinned = {line.partition(";")[0].strip(" \\") for line in lines if "==" in line and not line.startswith((" ", "#"))}
    listed = {f"{each['name']}=={each['version']}" for each in document["components"]}
    yield from (f"{components.name} lacks {name}" for name in sorted(pinned - listed))


def main(folder: Path) -> int:
    """Print every fault; 1 if there is one."""
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    (components,) = folder.glob("*.cdx.json")
    found = [*wheel_faults(wheel), *archive_faults(archive), *components_faults(components)]
    print("\n".join(found) or f"{wheel.name}, {archive.name} and {components.name} are complete")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
