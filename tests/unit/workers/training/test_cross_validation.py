"""Every memo is scored by a model that has not seen its speaker."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.corpora.examples import EVERY
from workers.training.cross_validation import HeldOut, held_out_by, hold_out, speaker_folds

EXAMPLES = people(speakers=8, memos=6)
THREE = replace(RECIPE, folds=3, cold_starts=(0, 2, EVERY))


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return hold_out(EXAMPLES, EXTRACTORS, THREE)


def test_folds_never_share_a_speaker_and_hold_everyone_out_once() -> None:
    examples = people(speakers=7, memos=4)
    folds = speaker_folds(examples, 3, seed=1)
    assert (np.sum(folds, axis=0) == 1).all()
    for held in folds:
        assert not set(examples.speakers[held]) & set(examples.speakers[~held])


def test_folds_have_as_many_of_either_class_as_whole_speakers_allow() -> None:
    share = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0, 0.0, 0.25, 0.5, 1.0], 4)
    examples = replace(people(speakers=9, memos=4), labels=share)
    means = [examples.labels[held].mean() for held in speaker_folds(examples, 3, seed=1)]
    assert max(means) - min(means) < 0.35


def test_there_are_no_more_folds_than_speakers_and_another_seed_gives_others() -> None:
    examples = people(speakers=4, memos=2)
    assert len(speaker_folds(examples, 10, seed=1)) == 4
    one, again, other = ([held.tolist() for held in speaker_folds(EXAMPLES, 3, seed)] for seed in (1, 1, 2))
    assert one == again != other


def test_every_memo_has_a_logit_after_each_number_of_memos(held_out: HeldOut) -> None:
    assert held_out.raw.shape == held_out.known.shape == (3, len(EXAMPLES))
    assert (held_out.raw != 0).all()
    assert held_out.known.tolist() == [[False] * 48, [True] * 48, [True] * 48]
    assert sorted(set(held_out.fold.tolist())) == [0, 1, 2]
    for number, held in enumerate(speaker_folds(EXAMPLES, 3, THREE.seed)):
        assert (held_out.fold[held] == number).all()


def test_labels_of_a_fold_have_no_part_in_its_logits(held_out: HeldOut) -> None:
    own = held_out.fold == 0
    turned = replace(EXAMPLES, labels=np.where(own, 1 - EXAMPLES.labels, EXAMPLES.labels))
    again = hold_out(turned, EXTRACTORS, THREE)
    np.testing.assert_array_equal(again.fold, held_out.fold)
    np.testing.assert_array_equal(again.raw[:, own], held_out.raw[:, own])
    assert (again.raw[:, ~own] != held_out.raw[:, ~own]).all()


def test_progress_is_told_of_every_fold() -> None:
    done: list[int] = []
    hold_out(people(speakers=4, memos=4), EXTRACTORS, replace(THREE, folds=2, cold_starts=(0,)), done.append)
    assert done == [1, 1]


def test_folds_whose_recipe_is_the_same_stay_and_the_others_are_scored_anew(held_out: HeldOut) -> None:
    other = replace(THREE, penalty=1000.0)
    found = held_out_by([THREE, other, THREE], held_out, EXAMPLES, EXTRACTORS)
    changed = held_out.fold == 1
    np.testing.assert_array_equal(found.raw[:, ~changed], held_out.raw[:, ~changed])
    assert (found.raw[:, changed] != held_out.raw[:, changed]).all()
    assert (held_out.raw[:, changed] == hold_out(EXAMPLES, EXTRACTORS, THREE).raw[:, changed]).all()
