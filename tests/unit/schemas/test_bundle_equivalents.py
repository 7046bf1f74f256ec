import json
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.bundle_equivalents import (
    EQUIVALENTS,
    Equivalent,
    by_modality,
    differ_in_precision_alone,
    precision_of,
    read_equivalents,
    text_of,
)
from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality

ONE = Equivalent(
    modality=Modality.EMBEDDING,
    extractor=Extractor("wav2vec2", "1-span1-bfloat16", "a" * 64),
    engine="openvino",
    processor="a processor",
    recordings=20,
    largest_change=0.01,
    rank_correlation=0.9999,
    most_change=0.05,
    least_correlation=0.999,
)
OTHER = replace(ONE, extractor=Extractor("wav2vec2", "1-span1-int8", "a" * 64))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / EQUIVALENTS).write_text(text_of([ONE, OTHER], "demo-1"))
    found = read_equivalents(tmp_path, "demo-1")
    assert found == [ONE, OTHER]
    assert by_modality(found) == {Modality.EMBEDDING: (ONE.extractor, OTHER.extractor)}


def test_without_the_file_and_of_another_bundle_there_are_none(tmp_path: Path) -> None:
    assert read_equivalents(tmp_path, "demo-1") == []
    (tmp_path / EQUIVALENTS).write_text(text_of([ONE], "demo-1"))
    assert read_equivalents(tmp_path, "demo-2") == []
    assert read_equivalents(tmp_path, None) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"bundle": "b"}', '{"bundle": "b", "equivalents": [1]}', '{"bundle": "b", "equivalents": [{}]}'],
)
def test_a_file_that_is_none_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / EQUIVALENTS).write_text(content)
    with pytest.raises(ConfigurationError, match=r"equivalents\.json.*remove it.*verify-equivalent"):
        read_equivalents(tmp_path, "b")


def test_a_field_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    content = json.loads(text_of([ONE], "b"))
    content["equivalents"][0]["more"] = 1
    (tmp_path / EQUIVALENTS).write_text(json.dumps(content))
    assert read_equivalents(tmp_path, "b") == [ONE]


def test_figures_beyond_their_bounds_are_no_equivalent(tmp_path: Path) -> None:
    (tmp_path / EQUIVALENTS).write_text(text_of([replace(ONE, largest_change=0.06), OTHER], "b"))
    assert read_equivalents(tmp_path, "b") == [OTHER]


def test_a_precision_is_told_from_another_encoder() -> None:
    exact = replace(ONE.extractor, version="1-span1")
    assert [precision_of(each) for each in (exact, ONE.extractor, OTHER.extractor)] == ["float32", "bfloat16", "int8"]
    assert differ_in_precision_alone(exact, ONE.extractor)
    assert differ_in_precision_alone(OTHER.extractor, ONE.extractor)
    assert not differ_in_precision_alone(exact, exact)
    assert not differ_in_precision_alone(exact, replace(ONE.extractor, version="1-span0-bfloat16"))
    assert not differ_in_precision_alone(exact, replace(ONE.extractor, weights_hash="b" * 64))
