"""Reject splits with a speaker or a recording on both sides."""

import hashlib
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from schemas.errors import ConfigurationError
from workers.corpora.manifest import Sample


def content_hashes(samples: Sequence[Sample]) -> list[str]:
    """SHA-256 (hex) of each sample's recording; each file is read once."""
    known: dict[Path, str] = {}
    for sample in samples:
        if sample.path not in known:
            with sample.path.open("rb") as file:
                known[sample.path] = hashlib.file_digest(file, "sha256").hexdigest()
    return [known[sample.path] for sample in samples]


def refuse_leaks(
    samples: Sequence[Sample], sides: Sequence[str], hashes: Sequence[str], *, by_time: bool = False
) -> None:
    """Raises ConfigurationError when a recording, or a speaker, is on more than one side.

    sides: of each sample; hashes: of each sample's recording; by_time: the split is chronological, so every speaker is
    on both sides by design, and only recordings count.
    """
    for one, other in combinations(sorted(set(sides)), 2):
        shared = _of(hashes, sides, one) & _of(hashes, sides, other)
        if shared:
            raise ConfigurationError(
                f"the split leaks: {len(shared)} recordings are on both sides, {one} and {other} (same content, "
                "whatever their names); keep each on one side"
            )
        speakers = [sample.speaker for sample in samples]
        shared = _of(speakers, sides, one) & _of(speakers, sides, other)
        if shared and not by_time:
            raise ConfigurationError(
                f"the split leaks: {len(shared)} speakers are on both sides, {one} and {other}; split by speaker, "
                "or use --split chronological for memos over time"
            )


def refuse_seen(hashes: Sequence[str], trained_on: Sequence[str]) -> None:
    """Raises ConfigurationError when a bundle was trained on any of the recordings.

    trained_on: the result of `fingerprints` at training.
    """
    seen = set(fingerprints(hashes)) & set(trained_on)
    if seen:
        raise ConfigurationError(
            f"the bundle was trained on {len(seen)} of these recordings: metrics on them are too optimistic; evaluate "
            "on others, or read the held-out metrics of `undertone train`"
        )


def fingerprints(hashes: Sequence[str]) -> list[str]:
    """Identifiers of a bundle's training recordings: enough to recognise them, without any audio."""
    return sorted({value[:16] for value in hashes})


def _of(values: Sequence[str], sides: Sequence[str], side: str) -> set[str]:
    return {value for value, at in zip(values, sides, strict=True) if at == side}
