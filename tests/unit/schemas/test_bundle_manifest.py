"""What a bundle needs, as its manifest tells it, and what is assumed where none does."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.bundle_manifest import (
    ENCODER,
    MANIFEST,
    WINDOW_S,
    bundle_id,
    encoder_of,
    left_out,
    modalities_of,
    needs_of,
    window_s_of,
)
from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality
from schemas.pipeline import MODALITIES
from schemas.settings import SHIPPED_BUNDLE

MADE = {"name": "markers", "version": "1", "weights_hash": "ab" * 32}
ACOUSTIC = {"extractors": {"acoustic": MADE}, "encoder": None}


def manifest(folder: Path, content: Any) -> Path:
    (folder / MANIFEST).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_the_extractors_are_the_modalities_in_their_order(tmp_path: Path) -> None:
    both = {"extractors": {"embedding": MADE, "acoustic": MADE}, "encoder": "name@revision"}
    needs = needs_of(manifest(tmp_path, both))
    assert needs is not None
    assert needs.modalities == (Modality.EMBEDDING, Modality.ACOUSTIC)
    assert needs.extractors[Modality.ACOUSTIC] == Extractor(**MADE)
    assert modalities_of(manifest(tmp_path, ACOUSTIC)) == (Modality.ACOUSTIC,)


@pytest.mark.parametrize("named", ["name@revision", None])
def test_an_encoder_is_the_one_in_the_folder_or_one_of_the_hub(tmp_path: Path, named: str | None) -> None:
    needs = needs_of(manifest(tmp_path, ACOUSTIC | {"encoder": named}))
    assert needs is not None
    assert needs.encoder == named
    own = needs_of(manifest(tmp_path, ACOUSTIC | {"encoder": ENCODER}))
    assert own is not None
    assert own.encoder == str(tmp_path / ENCODER)


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        "[]",
        {"extractors": {}, "encoder": None},
        {"extractors": [MADE], "encoder": None},
        {"extractors": {"acoustic": MADE}},
        {"extractors": {"acoustic": {"name": "markers"}}, "encoder": None},
        {"extractors": {"gait": MADE}, "encoder": None},
        {"extractors": {"unknown": MADE}, "encoder": None},
        {"extractors": {"acoustic": MADE}, "encoder": 7},
        ACOUSTIC | {"window_s": -1},
    ],
)
def test_a_manifest_that_tells_nothing_is_as_none(tmp_path: Path, content: Any) -> None:
    assert needs_of(manifest(tmp_path, content)) is None
    assert modalities_of(tmp_path) == MODALITIES


def test_a_machine_without_a_bundle_serves_every_modality(tmp_path: Path) -> None:
    assert needs_of(tmp_path / "nowhere") is None
    assert modalities_of(tmp_path / "nowhere") == MODALITIES


def test_the_shipped_bundle_needs_all() -> None:
    assert modalities_of(SHIPPED_BUNDLE) == (Modality.ACOUSTIC, Modality.EMBEDDING)


def test_the_id_is_that_of_the_manifest_where_one_can_be_read(tmp_path: Path) -> None:
    assert (bundle_id(SHIPPED_BUNDLE) or "").startswith("demo-")
    assert bundle_id(tmp_path) is None
    (tmp_path / MANIFEST).write_text("[]")
    assert bundle_id(tmp_path) is None


def test_windows_are_as_long_as_in_training(tmp_path: Path) -> None:
    assert window_s_of(manifest(tmp_path, ACOUSTIC | {"window_s": 10})) == 10.0
    assert window_s_of(manifest(tmp_path, ACOUSTIC)) == window_s_of(tmp_path / "nowhere") == WINDOW_S


def test_the_encoder_is_the_one_given_or_that_of_the_bundle_or_where_one_would_be(tmp_path: Path) -> None:
    assert encoder_of(tmp_path, None) == str(tmp_path / ENCODER)
    manifest(tmp_path, ACOUSTIC | {"encoder": "name@revision"})
    assert encoder_of(tmp_path, None) == "name@revision"
    assert encoder_of(tmp_path, "other") == "other"
    manifest(tmp_path, ACOUSTIC)
    with pytest.raises(ConfigurationError, match=r"names none.*unset UNDERTONE_MODALITIES, or set UNDERTONE_ENCODER"):
        encoder_of(tmp_path, None)


def test_modalities_that_are_left_out_are_named_and_none_left_is_refused() -> None:
    both = (Modality.ACOUSTIC, Modality.EMBEDDING)
    assert left_out(both, both) == ()
    assert left_out(both, [Modality.ACOUSTIC]) == (Modality.EMBEDDING,)
    assert left_out([Modality.ACOUSTIC], both) == ()
    with pytest.raises(ConfigurationError, match=r"scores acoustic features, and only embedding.*UNDERTONE_MODALITIES"):
        left_out([Modality.ACOUSTIC], [Modality.EMBEDDING])
