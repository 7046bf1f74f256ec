"""The model bundle in force, and its card as it lies in its folder."""

from dataclasses import dataclass
from pathlib import Path

from schemas.bundle_manifest import bundle_id, modalities_of
from schemas.events import Modality

CARD = "README.md"
LARGEST = 64 * 1024
"""Bytes of a card that are shown."""


@dataclass(frozen=True, slots=True)
class BundleCard:
    """What is known of it. bundle: its id, None without a readable manifest; card: its text, empty without one."""

    bundle: str | None
    modalities: tuple[Modality, ...]
    card: str


def bundle_card(folder: Path) -> BundleCard:
    """The bundle in a folder."""
    try:
        with (folder / CARD).open("rb") as file:
            card = file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        card = ""
    return BundleCard(bundle_id(folder), modalities_of(folder), card)
