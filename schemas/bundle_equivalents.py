"""Extractors whose features a bundle accepts besides its own, because that was measured to change no score by much.

They are stored next to the manifest, in a file that names the bundle's id: the bundle stays what it was, with the same
id. `undertone bundle verify-equivalent` writes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality

EQUIVALENTS = "equivalents.json"
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

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Equivalent":
        """From an entry of the file. Raises TypeError, KeyError or ValueError for one that is none."""
        given = {**entry, "modality": Modality(entry["modality"]), "extractor": Extractor(**entry["extractor"])}
        return cls(**given)


def read_equivalents(bundle: Path, bundle_id: str | None) -> list[Equivalent]:
    """Those of the bundle with this id in a folder; none for another one, such as the one that was there before.

    Raises ConfigurationError for a file that cannot be read.
    """
    path = bundle / EQUIVALENTS
    try:
        content = json.loads(path.read_text())
        entries = content["equivalents"] if content["bundle"] == bundle_id else []
        return [Equivalent.from_json(entry) for entry in entries]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{EQUIVALENTS} in the folder of the bundle cannot be read ({type(error).__name__}): remove it, or write "
            "it again with `undertone bundle verify-equivalent`"
        ) from error


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
