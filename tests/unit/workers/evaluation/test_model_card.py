"""The model card: what the bundle is, what it was trained on, and how it was evaluated, if at all."""

import re
from dataclasses import replace

from tests.unit.workers.scoring.toys import bundle, f32
from workers.evaluation.model_card import CHOSEN_APART, FIRST, HELD_OUT, IN_THE_MANIFEST, ONE, card_of
from workers.scoring.bundle import First
from workers.scoring.calibration import Calibration
from workers.scoring.heads import LogisticHead

TOY = bundle()


def section(card: str, heading: str) -> str:
    return card.split(f"## {heading}\n")[1].split("\n## ")[0].strip()


def test_a_card_describes_the_bundle_and_leaves_room_for_its_id() -> None:
    card = card_of(TOY)
    assert card.startswith("# {id}\n")
    details = section(card, "Model details")
    assert "Head `logistic` over 6 features (acoustic and embedding)" in details
    assert "abstains between 0.40 and 0.60" in details
    assert "Calibrated by temperature" in details


def test_a_card_says_who_scores_people_without_a_baseline() -> None:
    first = First(LogisticHead(f32([0] * 6), 0.0), Calibration("temperature"))
    assert ONE in card_of(TOY)
    assert FIRST in card_of(replace(TOY, first=first))
    assert ONE not in card_of(replace(TOY, first=first))


def test_patience_is_named_where_there_is_any() -> None:
    assert "times as long" not in card_of(TOY)
    assert "(2.5 times as long" in card_of(replace(TOY, population=replace(TOY.population, patience=2.5)))


def test_training_data_come_first_and_then_what_people_want_to_know_of_the_training() -> None:
    known = {"seed": 7, "data": "12 memos of 3 speakers", "versions": {"keras": "3.1", "numpy": "2.4"}}
    trained = replace(TOY, training=known)
    assert section(card_of(trained), "Training data").splitlines() == [
        "12 memos of 3 speakers",
        "* seed: 7",
        "* versions: keras 3.1, numpy 2.4",
    ]
    assert section(card_of(replace(TOY, training={})), "Training data") == "Not described."


def test_digests_recipe_and_all_figures_stay_in_the_manifest_and_the_card_says_where() -> None:
    digests = {"corpus": "ab" * 32, "recordings": [f"{number:016x}" for number in range(141)]}
    trained = replace(TOY, training={"data": "d", "recipe": {"kind": "x"}, "held_out": {"logistic": {}}, **digests})
    assert section(card_of(trained), "Training data").splitlines() == ["d", "", IN_THE_MANIFEST]
    assert not re.search(r"[0-9a-f]{12}", card_of(trained))


def test_a_bundle_that_was_not_evaluated_says_so() -> None:
    assert section(card_of(TOY), "Evaluation data and metrics") == "Not evaluated on people."


FIGURES = {"auc": 0.8, "auc_ci": [0.7, float("nan")], "n": 12, "speakers": 3, "positives": 6, "folds": 3}


def test_metrics_of_choices_made_apart_have_a_column_of_their_own() -> None:
    apart = {**FIGURES, "auc": 0.75, "folds_choosing_otherwise": 2}
    evaluated = section(card_of(TOY, {**FIGURES, "choices_apart": apart}), "Evaluation data and metrics")
    assert evaluated.splitlines()[2:] == [
        CHOSEN_APART.format(differing=2, folds=3),
        "",
        "12 memos of 3 speakers, 6 positive, in 3 folds.",
        "",
        "| figure | held out | choices apart |",
        "|---|---|---|",
        "| auc | 0.800 | 0.750 |",
        "| auc ci | 0.700 to – | 0.700 to – |",
    ]


def test_without_choices_made_apart_there_is_one_column() -> None:
    alone = section(card_of(TOY, {**FIGURES, "choices_apart": None}), "Evaluation data and metrics")
    assert alone.startswith(HELD_OUT)
    assert CHOSEN_APART[:20] not in alone
    assert "| auc | 0.800 |" in alone.splitlines()
