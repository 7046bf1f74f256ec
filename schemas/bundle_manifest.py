"""What a model bundle needs, read from its manifest: unset settings follow it, without loading the model."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality
from schemas.pipeline import MODALITIES

MANIFEST = "manifest.json"
ENCODER = "encoder"
"""Folder of a bundle's own checkpoint, and what its manifest names as the encoder when it has one."""
WINDOW_S = 15.0
"""Seconds of an analysis window where the manifest names no other length."""


@dataclass(frozen=True, slots=True)
class BundleNeeds:
    """What a bundle needs to score a memo.

    extractors: those that its features must come from, by modality in the order of the model; encoder: folder or hub
    name (`name@revision`) of the checkpoint of its embeddings, None when the bundle names none; window_s: length of the
    windows that it was trained on, in seconds; id: the bundle's.
    """

    extractors: Mapping[Modality, Extractor]
    encoder: str | None
    window_s: float = WINDOW_S
    id: str = ""

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
        encoder, window_s = manifest["encoder"], float(manifest.get("window_s", WINDOW_S))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if not extractors or Modality.UNKNOWN in extractors or not isinstance(encoder, str | None) or not window_s > 0:
        return None
    source = str(bundle / ENCODER) if encoder == ENCODER else encoder
    return BundleNeeds(extractors, source, window_s, str(manifest.get("id", "")))


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


def window_s_of(bundle: Path) -> float:
    """Seconds of the windows that the bundle in a folder was trained on; WINDOW_S without a readable manifest."""
    needs = needs_of(bundle)
    return WINDOW_S if needs is None else needs.window_s


def encoder_of(bundle: Path, given: str | None) -> str:
    """Folder or hub name of the encoder: as given, or the one that the bundle in a folder names.

    Where no bundle is, `encoder` in its folder. Raises ConfigurationError for a bundle without embeddings.
    """
    if given:
        return given
    needs = needs_of(bundle)
    if needs is None:
        return str(bundle / ENCODER)
    if needs.encoder is None:
        raise ConfigurationError(
            f"embeddings need an encoder, and the bundle in UNDERTONE_BUNDLE names none: it scores "
            f"{', '.join(needs.modalities)} features; unset UNDERTONE_MODALITIES, or set UNDERTONE_ENCODER"
        )
    return needs.encoder


def left_out(needed: Sequence[Modality], given: Collection[Modality]) -> tuple[Modality, ...]:
    """Modalities that a bundle needs and that are not given: every score will lack them.

    Raises ConfigurationError when none that it needs is given: no memo could get a score.
    """
    missing = tuple(modality for modality in needed if modality not in given)
    if len(missing) == len(needed):
        raise ConfigurationError(
            f"the bundle scores {', '.join(missing)} features, and only {', '.join(given)} features are asked "
            "for; unset UNDERTONE_MODALITIES to use those of the bundle, or set UNDERTONE_BUNDLE to another"
        )
    return missing
