"""Extractors whose features a bundle accepts besides its own, because that was measured to change no score by much.

They are stored next to the manifest, in a file that names the bundle's id: the bundle stays what it was, with the same
id. `undertone bundle verify-equivalent` writes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality

EQUIVALENTS = "equivalents.json"
NAMED = frozenset({"bfloat16", "int8"})
"""Precisions with which the version of an encoder's extractor may end."""
NONE: Mapping[Modality, tuple[Extractor, ...]] = {}


@dataclass(frozen=True, slots=True)
class Equivalent:
    """An extractor that a bundle accepts, and how that was shown.

    engine, processor: what computed its features; recordings: how many were compared; largest_change: of a logit, to
    features of the bundle's own extractor; rank_correlation: Spearman's, between the scores of both; most_change,
    least_correlation: the bounds that they kept.
    """

    modality: Modality
    extractor: Extractor
    engine: str
    processor: str
    recordings: int
    largest_change: float
    rank_correlation: float
    most_change: float
    least_correlation: float

    @property
    def is_harmless(self) -> bool:
        """Whether the figures keep their bounds; what is no number keeps none."""
        return self.largest_change <= self.most_change and self.rank_correlation >= self.least_correlation

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Equivalent":
        """From an entry of the file, without what a later version may have added.

        Raises TypeError, KeyError or ValueError for one that is none.
        """
        given = {each.name: entry[each.name] for each in fields(cls)}
        extractor = Extractor(**entry["extractor"])
        return cls(**given | {"modality": Modality(entry["modality"]), "extractor": extractor})


def read_equivalents(bundle: Path, bundle_id: str | None) -> list[Equivalent]:
    """Those of the bundle with this id in a folder; none for another one, such as the one that was there before.

    Raises ConfigurationError for a file that cannot be read.
    """
    path = bundle / EQUIVALENTS
    try:
        content = json.loads(path.read_text())
        entries = content["equivalents"] if content["bundle"] == bundle_id else []
        return [each for each in map(Equivalent.from_json, entries) if each.is_harmless]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{EQUIVALENTS} in the folder of the bundle cannot be read ({type(error).__name__}): remove it, or write "
            "it again with `undertone bundle verify-equivalent`"
        ) from error


def precision_of(extractor: Extractor) -> str:
    """The precision that an encoder's version names; float32 has no name in it.

    >>> precision_of(Extractor("wav2vec2", "1-span1-bfloat16", "")), precision_of(Extractor("wav2vec2", "1-span1", ""))
    ('bfloat16', 'float32')
    """
    named = extractor.version.rpartition("-")[2]
    return named if named in NAMED else "float32"


def differ_in_precision_alone(one: Extractor, other: Extractor) -> bool:
    """Whether the same encoder made both, in two precisions."""
    exact, other_exact = (replace(each, version=_without_precision(each.version)) for each in (one, other))
    return one != other and exact == other_exact


def _without_precision(version: str) -> str:
    before, _, named = version.rpartition("-")
    return before if named in NAMED else version


def by_modality(equivalents: Sequence[Equivalent]) -> dict[Modality, tuple[Extractor, ...]]:
    """Their extractors."""
    found: dict[Modality, tuple[Extractor, ...]] = {}
    for each in equivalents:
        found[each.modality] = (*found.get(each.modality, ()), each.extractor)
    return found


def text_of(equivalents: Sequence[Equivalent], bundle_id: str) -> str:
    """The content of the file."""
    entries = [asdict(each) for each in equivalents]
    return json.dumps({"bundle": bundle_id, "equivalents": entries}, indent=1, sort_keys=True) + "\n"
