"""Whether today's schemas and every released one read each other: `python -m schemas.compatibility`.

FULL_TRANSITIVE: readers of any version read records of any other. Released versions are in `schemas/avro/history`
and never edited (`digests.txt` there holds their digests); the newest equals today's schema.
`--release` adds today's schemas that differ from their newest version as the next one.
"""

import json
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastavro.schema import SchemaParseException, UnknownType

from schemas.avro_resolution import Obstacle, obstacles
from schemas.codec import schema_name
from schemas.limits_in_avro import KEYWORDS
from schemas.topics import TOPICS

AVRO = Path(__file__).parent / "avro"
DIGESTS = "digests.txt"
"""In the history's folder, in the format of `sha256sum --check`."""

ADVICE = "keep what exists and add a new field with a default"


@dataclass(frozen=True, slots=True)
class Versions:
    """What one topic carries: today's schema, and the released ones by number."""

    topic: str
    stem: str
    today: Any
    released: dict[int, Any]


def versions_in(folder: Path) -> list[Versions]:
    """Today's and the released schemas of every topic."""
    return [_versions(folder, topic.name, schema_name(topic.record)) for topic in TOPICS]


def _versions(folder: Path, topic: str, stem: str) -> Versions:
    files = {int(p.name.split(".")[1]): p for p in (folder / "history").glob(f"{stem}.*.avsc")}
    released = {number: json.loads(files[number].read_text()) for number in sorted(files)}
    return Versions(topic, stem, json.loads((folder / f"{stem}.avsc").read_text()), released)


def faults_in(folder: Path) -> list[str]:
    """What is wrong with the schemas in `folder`, one sentence each with what to do; empty if nothing."""
    versions = versions_in(folder)
    faults = [fault for v in versions for fault in unreadable(v)]
    faults += [fault for v in versions for fault in _unreleased(v)]
    return faults + edited(folder)


def unreadable(versions: Versions) -> list[str]:
    """Where today's schema and a released one do not read each other."""
    faults = []
    for number, released in versions.released.items():
        pairs = (
            (f"today's readers cannot read what version {number} wrote", versions.today, released),
            (f"readers of version {number} cannot read what today's writers write", released, versions.today),
        )
        for what, reader, writer in pairs:
            try:
                found = obstacles(reader, writer)
            except (SchemaParseException, UnknownType) as error:
                return [f"{versions.topic}: {versions.stem}.avsc is not an Avro schema: {error}"]
            faults += [_fault(versions.topic, what, obstacle) for obstacle in found]
    return faults


def _fault(topic: str, what: str, obstacle: Obstacle) -> str:
    field = f"field `{obstacle.path}`" if obstacle.path else "the record"
    return f"{topic}: {what}: {field}: {obstacle.what}; {ADVICE}"


def _unreleased(versions: Versions) -> list[str]:
    numbers = list(versions.released)
    if numbers != list(range(1, len(numbers) + 1)):
        return [f"{versions.topic}: released versions are {numbers}: number them from 1 without a gap"]
    if numbers and _bare(versions.today) == _bare(versions.released[numbers[-1]]):
        return []
    return [
        f"{versions.topic}: {versions.stem}.avsc is not the newest released version: when it is final, keep it as "
        f"version {len(numbers) + 1} with `python -m schemas.compatibility --release`"
    ]


def _bare(node: Any) -> Any:
    """A schema without its documentation and its limits, which are no part of what was released."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key != "doc" and key not in KEYWORDS}
    return [_bare(value) for value in node] if isinstance(node, list) else node


def edited(folder: Path) -> list[str]:
    """Released versions that are not what was released."""
    lines = (folder / "history" / DIGESTS).read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = digests(folder)
    return [
        f"history/{name} is not what was released: restore it, and release a new version instead"
        for name in sorted(listed.keys() | found.keys())
        if listed.get(name) != found.get(name)
    ]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of every released version by the name of its file."""
    files = sorted((folder / "history").glob("*.avsc"))
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


def release(folder: Path) -> list[str]:
    """Keep today's schemas as the next version where they differ from the newest; returns the names of the new files.

    Does nothing for a schema that is unreadable to a released version, or where a released version was edited.
    """
    if edited(folder):
        return []
    ready = [v for v in versions_in(folder) if _unreleased(v) and not unreadable(v)]
    added = []
    for versions in ready:
        name = f"{versions.stem}.{len(versions.released) + 1}.avsc"
        (folder / "history" / name).write_bytes((folder / f"{versions.stem}.avsc").read_bytes())
        added.append(name)
    lines = [f"{digest}  {name}\n" for name, digest in digests(folder).items()]
    (folder / "history" / DIGESTS).write_text("".join(lines))
    return added


def main(arguments: list[str], folder: Path = AVRO) -> int:
    """The command: 0 when every version reads every other, 1 with the faults on standard error."""
    if "--release" in arguments:
        sys.stdout.writelines(f"released {name}\n" for name in release(folder))
    faults = faults_in(folder)
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    if not faults:
        count = sum(len(v.released) for v in versions_in(folder))
        sys.stdout.write(f"schemas: {len(TOPICS)} topics, {count} released versions, all read each other\n")
    return min(len(faults), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
