"""The card of the bundle in force."""

from pathlib import Path

from schemas.settings import Settings
from streams.web.system.bundle_card import bundle_card


def test_the_shipped_bundle_has_its_card_and_says_that_it_is_a_demonstration() -> None:
    found = bundle_card(Settings().bundle)
    assert found.bundle is not None
    assert found.bundle.startswith("demo-")
    assert found.card.startswith(f"# {found.bundle}")
    assert found.modalities


def test_a_folder_without_a_bundle_is_no_error(tmp_path: Path) -> None:
    found = bundle_card(tmp_path)
    assert (found.bundle, found.card) == (None, "")
