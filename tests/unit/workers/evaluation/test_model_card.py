"""The model card: what the bundle is, what it was trained on, and how it was evaluated, if at all."""

from dataclasses import replace

from tests.unit.workers.scoring.toys import bundle, f32
from workers.evaluation.model_card import CHOSEN_APART, FIRST, HELD_OUT, ONE, card_of
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


def test_training_data_come_first_and_then_all_that_is_known_of_the_training() -> None:
    trained = replace(TOY, training={"seed": 7, "data": "12 memos of 3 speakers", "recipe": {"kind": "logistic"}})
    assert section(card_of(trained), "Training data").splitlines() == [
        "12 memos of 3 speakers",
        "* seed: 7",
        "* recipe: {'kind': 'logistic'}",
    ]
    assert section(card_of(replace(TOY, training={})), "Training data") == "Not described."


def test_a_bundle_that_was_not_evaluated_says_so() -> None:
    assert section(card_of(TOY), "Evaluation data and metrics") == "Not evaluated on people."


def test_metrics_of_choices_made_apart_follow_the_others() -> None:
    metrics = {"auc": 0.8, "choices_apart": {"auc": 0.7}}
    evaluated = section(card_of(TOY, metrics), "Evaluation data and metrics")
    assert evaluated.splitlines() == [*HELD_OUT.splitlines(), "* auc: 0.8", "", CHOSEN_APART, "* auc: 0.7"]
    alone = section(card_of(TOY, {"auc": 0.8, "choices_apart": None}), "Evaluation data and metrics")
    assert alone.splitlines() == [*HELD_OUT.splitlines(), "* auc: 0.8"]
    assert metrics["choices_apart"] == {"auc": 0.7}, "the caller's metrics are not changed"
