from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import Band, Extractor, MemoFeatures, Modality
from tests.unit.schemas.records import UPLOADED
from tests.unit.workers.scoring.toys import GOOD, bundle, f32, memo, part
from workers.consumer.unheard import Unheard
from workers.scoring.bundle import First
from workers.scoring.calibration import Calibration
from workers.scoring.feature_space import Parts
from workers.scoring.heads import LogisticHead
from workers.scoring.personal_baseline import PersonalNormal, normal_of
from workers.scoring.scorer import Scored, Scorer, contributions_of, head_input, logits

STRANGER = PersonalNormal.empty(6)


def score(parts: Parts, normal: PersonalNormal = STRANGER) -> Scored:
    (result,) = Scorer(bundle()).score([(parts, normal)])
    assert isinstance(result, Scored)
    return result


def test_pauses_raise_the_score_and_bands_follow() -> None:
    high, middle, low = score(memo(pause_share=3)), score(memo()), score(memo(pause_share=-3))
    assert high.probability is not None
    assert low.probability is not None
    assert high.probability > 0.6 > 0.4 > low.probability
    assert [s.band for s in (high, middle, low)] == [Band.HIGH, Band.INDETERMINATE, Band.LOW]
    assert [s.reasons for s in (high, middle, low)] == [(), ("undecided",), ()]


def test_a_memo_that_was_not_read_says_why_and_leaves_the_others_alone() -> None:
    unheard = Unheard(UPLOADED, "consent:paused").features((Modality.ACOUSTIC, Modality.EMBEDDING))
    silent: Parts = {record.modality: record for record in unheard}
    half: Parts = {**memo(pause_share=3), Modality.EMBEDDING: unheard[1]}
    first, second, third = Scorer(bundle()).score(
        [(silent, STRANGER), (memo(pause_share=3), STRANGER), (half, STRANGER)]
    )
    for each in (first, third):
        assert isinstance(each, Scored)
        assert (each.probability, each.band, each.reasons) == (None, Band.INDETERMINATE, ("consent:paused",))
        assert (each.evidence, each.vector) == ((), None)
    assert isinstance(second, Scored)
    assert second.probability == score(memo(pause_share=3)).probability


def test_the_same_memo_says_less_of_someone_who_always_speaks_so() -> None:
    always = normal_of(np.tile(f32([0, 3, 0, 0, 0, 0]), (20, 1)))
    stranger, known = score(memo(pause_share=3)), score(memo(pause_share=3), always)
    assert stranger.probability is not None
    assert known.probability is not None
    assert known.probability + 0.2 < stranger.probability


def test_who_has_no_baseline_is_scored_by_the_head_for_them_whoever_else_is_in_the_batch() -> None:
    pauses = First(LogisticHead(f32([0, 1, 0, 0, 0, 0]), 0.5), Calibration("temperature", 0.5))
    parts, known = memo(pitch_sd=-2, pause_share=1), normal_of(f32([[0] * 6, [1] * 6]))
    with_first = Scorer(replace(bundle(), first=pauses))
    batch: list[tuple[Parts, PersonalNormal]] = [(parts, STRANGER), (parts, known)]
    together = [s.probability for s in with_first.score(batch) if isinstance(s, Scored)]
    alone = [s.probability for pair in batch for s in with_first.score([pair]) if isinstance(s, Scored)]
    assert together == alone
    away = 1 / np.sqrt(2)  # in the population's total standard deviation, between people and within
    assert together[0] == pytest.approx(1 / (1 + np.exp(-4 * np.tanh(0.5 * (away + 0.5) / 4))), rel=1e-5)
    assert together[1] == score(parts, known).probability


def test_a_patient_head_leans_on_the_population_longer_and_evidence_does_not() -> None:
    patient = replace(bundle(), population=replace(bundle().population, patience=8.0))
    parts, own = memo(pause_share=3), normal_of(f32([[0, 2.8, 0, 0, 0, 0], [0, 3.2, 0, 0, 0, 0]]))
    (hasty,), (waits,) = (Scorer(b).score([(parts, own)]) for b in (bundle(), patient))
    assert isinstance(hasty, Scored)
    assert isinstance(waits, Scored)
    assert hasty.probability is not None
    assert waits.probability is not None
    assert waits.probability > hasty.probability + 0.05
    deviations = [{each.name: each.deviation_sd for each in scored.evidence} for scored in (waits, hasty)]
    assert deviations[0] == deviations[1]


def test_contributions_of_all_features_and_the_reference_add_up_to_the_logit_of_either_head() -> None:
    with_first = replace(bundle(), first=First(LogisticHead(f32([0, 1, 0, 0, 0, 2]), 0.5), Calibration("temperature")))
    rng = np.random.default_rng(3)
    sds = rng.normal(0, 3, (8, 6)).astype(np.float32)
    sds[2, 1] = np.nan
    for known in (np.arange(8) % 2 == 0, np.ones(8, bool), np.zeros(8, bool)):
        inputs = head_input(with_first, sds, [{}] * 8)
        parts = contributions_of(with_first, inputs, known)
        np.testing.assert_allclose(parts.total, logits(with_first, sds, [{}] * 8, known).raw, rtol=1e-6)
        np.testing.assert_array_equal(parts.reference, np.where(known, 0.0, 0.5))
        assert parts.deviations[2, 1] == 0


def test_evidence_says_what_a_marker_adds_to_the_logit_and_is_ranked_by_it() -> None:
    evidence = score(memo(pitch_sd=-5.0, pause_share=2.0, pause_rate=4.0)).evidence
    assert [e.name for e in evidence] == ["pitch_sd", "pause_share", "pause_rate"]
    away = 1 / np.sqrt(2)  # in the population's total standard deviation, between people and within
    assert [e.contribution for e in evidence] == pytest.approx([2.5 * away, 2.0 * away, 0.8 * away])
    assert [e.deviation_sd for e in evidence] == pytest.approx([-5 * away, 2 * away, 4 * away])


def test_a_marker_that_no_head_reads_adds_nothing_and_comes_last() -> None:
    deaf = Scorer(replace(bundle(), silent=("pitch_sd",)))
    (scored,) = deaf.score([(memo(pitch_sd=-5.0, pause_share=1.0), STRANGER)])
    assert isinstance(scored, Scored)
    assert [(e.name, e.contribution) for e in scored.evidence][1:] == [("pitch_sd", 0.0), ("pause_rate", 0.0)]


def test_evidence_is_markers_in_sds_of_the_own_baseline_strongest_first() -> None:
    rng = np.random.default_rng(0)
    own = normal_of(rng.normal([0, 1, 0, 0, 0, 0], 0.5, (60, 6)).astype(np.float32))
    evidence = score(memo(pitch_sd=1.0, pause_share=3.0, mfcc1=50), own).evidence
    assert [e.name for e in evidence][:2] == ["pause_share", "pitch_sd"]
    assert "mfcc1" not in {e.name for e in evidence}
    assert evidence[0].value == 3.0
    assert evidence[0].deviation_sd == pytest.approx(4.0, rel=0.2)


def test_evidence_says_what_is_usual_for_this_user() -> None:
    own = normal_of(f32([[2.0, np.nan, 0, 0, 0, 0]] * 60))
    found = {e.name: e for e in score(memo(pitch_sd=1.0, pause_share=3.0), own).evidence}
    assert found["pitch_sd"].usual == pytest.approx(2.0, rel=0.05)
    assert found["pause_share"].usual is None, "no memo of this user had it"
    assert all(e.usual is None for e in score(memo(pitch_sd=1.0)).evidence), "no memo yet"
    for each in found.values():
        assert each.usual is None or (each.value - each.usual) * each.deviation_sd >= 0


def test_what_the_recording_may_have_moved_comes_after_what_it_cannot() -> None:
    noisy = replace(GOOD, snr_db=18.0, fragile=("pitch_sd",))
    clean, doubted = (score(memo(pitch_sd=-5.0, pause_share=2.0, quality=q)).evidence for q in (GOOD, noisy))
    assert [(e.name, e.fragile) for e in clean] == [("pitch_sd", False), ("pause_share", False), ("pause_rate", False)]
    assert [(e.name, e.fragile) for e in doubted] == [("pause_share", False), ("pause_rate", False), ("pitch_sd", True)]
    assert {e.name: (e.value, e.deviation_sd) for e in clean} == {e.name: (e.value, e.deviation_sd) for e in doubted}


def test_undefined_markers_are_no_evidence() -> None:
    named = {e.name for e in score(memo(pitch_sd=float("nan"), pause_share=1)).evidence}
    assert named == {"pause_share", "pause_rate"}


def test_poor_quality_is_indeterminate_and_not_learnt_from() -> None:
    noisy = replace(GOOD, snr_db=1.0, reasons=("quality:noisy",))
    scored = score(memo(pause_share=3, quality=noisy))
    assert (scored.band, scored.reasons, scored.vector) == (Band.INDETERMINATE, ("quality:noisy",), None)
    assert scored.probability is not None


def test_without_speech_there_is_no_probability() -> None:
    scored = score(memo(quality=replace(GOOD, speech_s=0.0, reasons=("quality:no_speech",))))
    assert (scored.probability, scored.band, scored.evidence) == (None, Band.INDETERMINATE, ())


def test_a_missing_modality_is_named_and_the_rest_still_scored() -> None:
    parts = memo(pause_share=3)
    del parts[Modality.EMBEDDING]
    scored = score(parts)
    assert (scored.band, scored.reasons, scored.vector) == (Band.INDETERMINATE, ("missing:embedding",), None)
    assert scored.probability is not None
    assert scored.probability > 0.6


def test_a_memo_without_a_single_marker_has_no_probability_and_says_why() -> None:
    nan = float("nan")
    without = score(memo(nan, nan, nan))
    assert (without.probability, without.band, without.reasons) == (None, Band.INDETERMINATE, ("features:undefined",))
    assert without.vector is None
    assert score(memo(nan, nan, 1.0)).probability is not None


def test_when_nearly_all_is_undefined_there_is_no_probability() -> None:
    parts = {
        Modality.ACOUSTIC: part(Modality.ACOUSTIC, [np.nan] * 4),
        Modality.EMBEDDING: part(Modality.EMBEDDING, [0, 0, 0]),
    }
    assert (score(parts).probability, score(parts).reasons) == (None, ("features:undefined",))


@pytest.mark.parametrize(
    "other",
    [
        part(Modality.ACOUSTIC, [0] * 4, extractor=Extractor("toy-acoustic", "2", "a" * 64)),
        part(Modality.ACOUSTIC, [0] * 4, extractor=Extractor("toy-acoustic", "1", "c" * 64)),
        part(Modality.EMBEDDING, [0] * 4),
        replace(part(Modality.ACOUSTIC, [0] * 4), names=("pitch_sd", "other", "pause_rate", "mfcc1")),
    ],
)
def test_features_of_another_maker_are_poison_and_neighbours_go_on(other: MemoFeatures) -> None:
    foreign = {**memo(), other.modality: other}
    first, second, third = Scorer(bundle()).score([(memo(), STRANGER), (foreign, STRANGER), (memo(), STRANGER)])
    assert isinstance(second, Poison)
    assert second.reason == "features:mismatch"
    assert isinstance(first, Scored)
    assert isinstance(third, Scored)
    assert first.probability == third.probability


def test_a_score_does_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(2)
    memos = [(memo(*rng.normal(size=4)), STRANGER) for _ in range(20)]
    scorer = Scorer(bundle())
    together = [s.probability for s in scorer.score(memos) if isinstance(s, Scored)]
    alone = [s.probability for m in memos for s in scorer.score([m]) if isinstance(s, Scored)]
    assert together == pytest.approx(alone, abs=1e-6)
    assert scorer.score([]) == []
