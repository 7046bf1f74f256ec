import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from schemas.errors import ConfigurationError
from schemas.events import FloatArray, Modality
from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.corpora.examples import EVERY, Examples
from workers.evaluation import metrics
from workers.evaluation.evaluate import evaluate
from workers.scoring.bundle import Bundle, save
from workers.scoring.heads import KINDS, NEURAL
from workers.training.fit_bundle import fit
from workers.training.fit_heads import uncalibrated
from workers.training.held_out_metrics import cross_validated

STARTS = (0, 4, EVERY)


def test_one_s_own_baseline_tells_what_the_population_cannot() -> None:
    fitted = fit(people(), EXTRACTORS, replace(RECIPE, cold_starts=STARTS), name="t")
    fresh = people(seed=9)
    curve = evaluate(fitted.bundle, fresh, [{}] * len(fresh), rounds=50).figures["cold_start"]
    assert curve["all"] > curve["0"] + 0.1
    assert curve["4"] > curve["1"] > curve["0"] - 0.02


def plain(learnt: Examples, judged: Examples) -> float:
    """AUC of logistic regression on features standardised by all memos of their speaker."""

    def standardised(examples: Examples) -> FloatArray:
        rows = np.stack([part[Modality.ACOUSTIC].summary for part in examples.parts])
        for speaker in np.unique(examples.speakers):
            own = examples.speakers == speaker
            rows[own] = (rows[own] - rows[own].mean(axis=0)) / rows[own].std(axis=0)
        return rows

    model = LogisticRegression().fit(standardised(learnt), learnt.labels)
    return metrics.auc(judged.labels > 0.5, model.decision_function(standardised(judged)))


@pytest.mark.parametrize("memos", [4, 12])
def test_people_from_elsewhere_are_told_apart_as_well_as_by_themselves_alone(memos: int) -> None:
    one_room = people(speakers=12, spread=0.3)
    elsewhere = people(speakers=30, memos=memos, spread=8.0, seed=4)
    bundle = fit(one_room, EXTRACTORS, replace(RECIPE, cold_starts=STARTS), name="t").bundle
    found = evaluate(bundle, elsewhere, [{}] * len(elsewhere), rounds=10).figures
    assert found["auc"] > plain(one_room, elsewhere) - 0.01
    assert found["auc"] > found["cold_start"]["0"] + 0.2


def test_held_out_probabilities_are_calibrated_and_abstaining_helps_both_sides() -> None:
    examples = people(speakers=40)
    fitted = fit(examples, EXTRACTORS, replace(RECIPE, cold_starts=STARTS), name="t")
    found = cross_validated(examples, fitted.held_out, rounds=200)
    assert found["ece"] < 0.08
    assert found["undecided_share"] == pytest.approx(0.2, abs=0.05)
    assert found["sensitivity_decided"] > found["sensitivity"]
    assert found["specificity_decided"] > found["specificity"]
    low, high = found["auc_ci"]
    assert low < found["auc"] < high


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_learns_comes_back_from_disk_and_bears_a_missing_modality(kind: str, tmp_path: Path) -> None:
    examples = people(speakers=16, memos=8, effect=2.5)
    made = uncalibrated(examples, EXTRACTORS, replace(RECIPE, kind=kind, cold_starts=(EVERY,)))
    bundle = save(replace(made, name="t"), tmp_path, "# {id}\n")
    fresh = people(speakers=8, memos=8, effect=2.5, seed=5)
    before, after = (evaluate(b, fresh, [{}] * len(fresh), rounds=10) for b in (made, Bundle.load(tmp_path)))
    np.testing.assert_allclose(before.logits.raw, after.logits.raw, atol=1e-5)
    assert after.figures["auc"] > 0.75
    halved = replace(fresh, parts=[{Modality.ACOUSTIC: p[Modality.ACOUSTIC]} for p in fresh.parts])
    assert evaluate(bundle, halved, [{}] * len(fresh), rounds=10).figures["auc"] > 0.7


def test_the_same_seed_gives_the_same_bundle(tmp_path: Path) -> None:
    recipe = replace(RECIPE, cold_starts=(0, EVERY), patience=None, apart=None)
    ids = {
        save(fit(people(speakers=8, memos=6), EXTRACTORS, recipe, name="t").bundle, tmp_path / str(n), "").id
        for n in range(2)
    }
    assert len(ids) == 1


def test_a_network_is_the_same_bundle_in_another_process_on_fewer_cores_and_another_with_another_seed(
    tmp_path: Path,
) -> None:
    code = """
import os, sys
from pathlib import Path
if sys.argv[2] == "one core" and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from tests.unit.workers.training.cohorts import neural_ids
from workers.training.neural_trainer import sum_on_one_thread
sum_on_one_thread()
print(*neural_ids(Path(sys.argv[1])).values(), neural_ids(Path(sys.argv[1]), ("mlp",), seed=1)["mlp"])
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / cores, cores],
            env={**os.environ, "PYTHONHASHSEED": hashing},
            stdout=subprocess.PIPE,
            text=True,
        )
        for cores, hashing in (("one core", "7"), ("all cores", "8"))
    ]
    one, other = (process.communicate()[0].split() for process in processes)
    assert one == other
    assert [name.split("-")[0] for name in one] == [*NEURAL, "mlp"]
    assert len(set(one)) == len(NEURAL) + 1


def test_too_few_speakers_or_one_label_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="4 speakers"):
        fit(people(speakers=3), EXTRACTORS, RECIPE, name="t")
    examples = people(speakers=6)
    with pytest.raises(ConfigurationError, match="both labels"):
        fit(examples.chosen(examples.labels > 0.5), EXTRACTORS, RECIPE, name="t")
    alone = replace(examples, labels=(examples.labels > 0.5) * (examples.speakers == "s00").astype(float))
    with pytest.raises(ConfigurationError, match="at least 2 speakers"):
        fit(alone, EXTRACTORS, RECIPE, name="t")
