from dataclasses import replace

from schemas.markers import MARKER_NAMES
from workers.corpora.examples import EVERY
from workers.training.recipe import Recipe


def test_a_head_for_people_with_a_baseline_learns_from_such_alone_where_the_others_have_their_own() -> None:
    recipe = Recipe(cold_starts=(0, 3, EVERY))
    assert replace(recipe, apart=True).established == (3, EVERY)
    assert replace(recipe, apart=False).established == (0, 3, EVERY)
    assert replace(recipe, apart=None).established == (0, 3, EVERY)


def test_the_last_cold_start_is_an_established_baseline() -> None:
    assert Recipe().cold_starts[-1] == EVERY
    assert Recipe().cold_starts[0] == 0


def test_evidence_may_name_every_marker_and_a_recipe_can_be_told_from_another() -> None:
    assert Recipe().markers == MARKER_NAMES
    assert {Recipe(), Recipe(seed=1), Recipe()} == {Recipe(), Recipe(seed=1)}
