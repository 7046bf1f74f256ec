"""What a model bundle needs, read from its manifest: unset settings follow it, without loading the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.events import Extractor, Modality
from schemas.pipeline import MODALITIES

MANIFEST = "manifest.json"
ENCODER = "encoder"
"""Folder of a bundle's own checkpoint, and what its manifest names as the encoder when it has one."""


@dataclass(frozen=True, slots=True)
class BundleNeeds:
    """What a bundle needs to score a memo.

    extractors: those that its features must come from, by modality in the order of the model; encoder: folder or hub
    name (`name@revision`) of the checkpoint of its embeddings, None when the bundle names none.
    """

    extractors: Mapping[Modality, Extractor]
    encoder: str | None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that a memo needs for a score."""
        return tuple(self.extractors)


def needs_of(bundle: Path) -> BundleNeeds | None:
    """The needs of the bundle in a folder; None when the folder has no readable manifest.

    The model is not checked: whoever loads it does, and says what is wrong.
    """
    try:
        manifest = json.loads((bundle / MANIFEST).read_text())
        extractors = {Modality(name): Extractor(**made) for name, made in manifest["extractors"].items()}
        encoder = manifest["encoder"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if not extractors or Modality.UNKNOWN in extractors or not isinstance(encoder, str | None):
        return None
    return BundleNeeds(extractors, str(bundle / ENCODER) if encoder == ENCODER else encoder)


def modalities_of(bundle: Path) -> tuple[Modality, ...]:
    """Modalities that the bundle in a folder needs; every modality without a readable manifest."""
    needs = needs_of(bundle)
    return MODALITIES if needs is None else needs.modalities


def bundle_id(bundle: Path) -> str | None:
    """The id of the bundle in a folder; None without a readable manifest."""
    try:
        return str(json.loads((bundle / MANIFEST).read_text())["id"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
