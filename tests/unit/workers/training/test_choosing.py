"""What a corpus decides about its own training is what serves speakers that were not asked."""

from dataclasses import replace

import pytest

from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.scoring.bundle import Bundle
from workers.training.choosing import settled
from workers.training.evaluate import evaluate
from workers.training.examples import EVERY, Examples
from workers.training.fit import fit
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


def test_what_a_recipe_fixes_stays_and_who_never_has_a_baseline_needs_no_choice() -> None:
    cohort = people(speakers=6, memos=4)
    fixed = replace(OPEN, patience=2.0, apart=True)
    assert settled(cohort, EXTRACTORS, fixed) == fixed
    assert settled(cohort, EXTRACTORS, replace(OPEN, cold_starts=(0,))) == replace(
        OPEN, cold_starts=(0,), patience=1.0, apart=False
    )
