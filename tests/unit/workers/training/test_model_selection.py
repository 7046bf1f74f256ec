"""What a corpus decides about its own training is what serves speakers that were not asked."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.corpora.examples import EVERY, Examples
from workers.evaluation.evaluate import evaluate
from workers.scoring.bundle import Bundle
from workers.training import model_selection
from workers.training.cross_validation import held_out_by, hold_out, speaker_folds
from workers.training.fit_bundle import fit
from workers.training.model_selection import settled, settled_apart
from workers.training.recipe import Recipe

OPEN = replace(RECIPE, patience=None, apart=None, cold_starts=(0, 1, EVERY))


def trained(examples: Examples, recipe: Recipe) -> Bundle:
    return fit(examples, EXTRACTORS, recipe, name="t").bundle


def curve(bundle: Bundle, examples: Examples) -> dict[str, float]:
    found: dict[str, float] = evaluate(bundle, examples, [{}] * len(examples), rounds=1).figures["cold_start"]
    return found


def test_where_bad_days_lie_in_baselines_the_head_is_patient_and_the_curve_does_not_fall_first() -> None:
    """The population is of calm days: its variances know nothing of the bad ones that a baseline holds."""
    cohort, fresh = (people(speakers=16, memos=8, effect=4.0, spread=0.7, seed=seed) for seed in (0, 7))
    recipe = settled(cohort, EXTRACTORS, replace(OPEN, controls=True))
    assert recipe.patience is not None
    assert recipe.patience > 1
    patient, hasty = (curve(trained(cohort, replace(recipe, patience=p)), fresh) for p in (recipe.patience, 1.0))
    assert 1 - patient["1"] < (1 - hasty["1"]) / 2
    assert min(patient.values()) > hasty["1"]


def test_people_who_differ_and_have_calm_baselines_are_held_against_themselves_at_once() -> None:
    assert settled(people(speakers=16, memos=8), EXTRACTORS, OPEN).patience == 1


@pytest.mark.parametrize(("spread", "apart"), [(4.0, True), (1.0, False)])
def test_without_a_baseline_nobody_is_worse_off_than_with_population_scoring(spread: float, apart: bool) -> None:
    cohort, fresh = (people(memos=8, spread=spread, seed=seed) for seed in (0, 7))
    bundle = trained(cohort, OPEN)
    assert (bundle.first is not None) is apart
    population = replace(OPEN, patience=bundle.population.patience, cold_starts=(0,))
    alone, own = (curve(b, fresh)["0"] for b in (trained(cohort, population), bundle))
    assert own == alone if apart else own > alone - 0.005


def test_whom_a_choice_is_judged_by_had_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One fold's labels are turned over: what the others chose for it must not move, nor what it is scored as."""
    monkeypatch.setattr(model_selection, "PATIENCE", (1.0, 8.0))
    cohort = people(speakers=9, memos=6, effect=3.0, spread=0.7)
    recipe = replace(OPEN, folds=2)
    made = replace(recipe, patience=1.0, apart=False)
    held = speaker_folds(cohort, recipe.folds, recipe.seed)[0]
    turned = replace(cohort, labels=np.where(held, 1 - cohort.labels, cohort.labels))
    choices, again = (settled_apart(each, EXTRACTORS, recipe, made) for each in (cohort, turned))
    assert choices is not None
    assert again is not None
    assert choices[0] == again[0]
    given = (replace(made, patience=8.0), made)
    one = hold_out(cohort, EXTRACTORS, made)
    own = held_out_by(given, one, cohort, EXTRACTORS)
    assert (own.raw[:, ~held] == one.raw[:, ~held]).all()
    assert (own.raw[-1, held] == hold_out(cohort, EXTRACTORS, given[0]).raw[-1, held]).all()
    assert (own.raw[-1, held] != one.raw[-1, held]).any()


def test_too_few_speakers_leave_no_other_choice_to_judge_by() -> None:
    cohort = people(speakers=4, memos=4)
    two = replace(cohort, labels=cohort.labels * np.isin(cohort.speakers, ["s00", "s01"]))
    assert settled_apart(two, EXTRACTORS, OPEN, OPEN) is None


def test_what_a_recipe_fixes_stays_and_who_never_has_a_baseline_needs_no_choice() -> None:
    cohort = people(speakers=6, memos=4)
    fixed = replace(OPEN, patience=2.0, apart=True)
    assert settled(cohort, EXTRACTORS, fixed) == fixed
    assert settled(cohort, EXTRACTORS, replace(OPEN, cold_starts=(0,))) == replace(
        OPEN, cold_starts=(0,), patience=1.0, apart=False
    )
