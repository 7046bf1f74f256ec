"""The table of stages."""

from dataclasses import replace

import pytest

from schemas import pipeline, topics
from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.pipeline import (
    ACOUSTIC,
    EMBEDDING,
    FEATURE_STAGES,
    STAGES,
    Implementation,
    feature_stage,
    feature_stages,
    stages,
)


def test_names_and_groups_are_those_that_were_published() -> None:
    assert [(stage.name, stage.group) for stage in STAGES] == [
        ("acoustic", "undertone-acoustic"),
        ("embedding", "undertone-embedding"),
        ("fusion", "undertone-agents"),
        ("drift", "undertone-agents"),
        ("letters", "undertone-agents"),
        *[("history", "undertone-history")] * 4,
    ]


def test_every_modality_is_given_by_one_stage() -> None:
    given = [modality for stage in FEATURE_STAGES for modality in stage.modalities]
    assert sorted(given) == sorted(set(Modality) - {Modality.UNKNOWN})


def test_every_implementation_has_its_stage() -> None:
    assert {stage.implementation for stage in FEATURE_STAGES} == set(Implementation)


def test_what_is_written_is_read_by_the_next_stage() -> None:
    read = {stage.reads for stage in stages((Modality.ACOUSTIC, Modality.EMBEDDING))}
    written = {topic for stage in stages((Modality.ACOUSTIC, Modality.EMBEDDING)) for topic in stage.writes}
    assert written - read == {topics.ALERTS}, "alerts are read by bridges and subscribers"
    assert read - written == {topics.UPLOADED}, "uploads are written by the platform"


@pytest.mark.parametrize(
    ("modalities", "expected"),
    [
        ((Modality.ACOUSTIC, Modality.EMBEDDING), (ACOUSTIC, EMBEDDING)),
        ((Modality.EMBEDDING, Modality.ACOUSTIC), (EMBEDDING, ACOUSTIC)),
        ((Modality.EMBEDDING,), (EMBEDDING,)),
        ((), ()),
    ],
)
def test_workers_follow_from_the_modalities(modalities: tuple[Modality, ...], expected: tuple[object, ...]) -> None:
    assert feature_stages(modalities) == expected


def test_a_stage_that_gives_several_modalities_is_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    both = replace(EMBEDDING, modalities=(Modality.ACOUSTIC, Modality.EMBEDDING))
    monkeypatch.setattr(pipeline, "FEATURE_STAGES", (both,))
    assert feature_stages((Modality.ACOUSTIC, Modality.EMBEDDING)) == (both,)


def test_a_modality_that_no_stage_extracts_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="no feature worker extracts unknown"):
        feature_stages((Modality.UNKNOWN,))


def test_a_worker_is_found_by_its_name_alone() -> None:
    assert feature_stage("embedding") is EMBEDDING
    with pytest.raises(ConfigurationError, match="acoustic, embedding"):
        feature_stage("fusion")
