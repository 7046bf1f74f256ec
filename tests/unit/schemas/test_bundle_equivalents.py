import json
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.bundle_equivalents import EQUIVALENTS, Equivalent, by_modality, read_equivalents, text_of
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


def test_an_entry_of_an_unknown_modality_or_field_is_refused(tmp_path: Path) -> None:
    content = json.loads(text_of([ONE], "b"))
    content["equivalents"][0]["more"] = 1
    (tmp_path / EQUIVALENTS).write_text(json.dumps(content))
    with pytest.raises(ConfigurationError):
        read_equivalents(tmp_path, "b")
