from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from schemas.errors import ConfigurationError, Poison
from schemas.events import FloatArray, MemoUploaded, Modality, Quality
from schemas.settings import Settings
from tests.unit.workers.wav2vec2.checkpoints import LAYER, noise, tiny
from workers.audio.memo import Memo
from workers.consumer.stage import settle
from workers.service.health import HEALTH
from workers.simulation.source_filter import Voice, speak
from workers.wav2vec2.embedder import Embedder
from workers.wav2vec2.stage import EmbeddingStage

AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
GOOD = Quality(speech_s=0.8, snr_db=20.0, clipped=0.0, bandwidth_hz=8000.0)


@pytest.fixture(scope="module")
def stage() -> EmbeddingStage:
    return EmbeddingStage(Embedder(tiny(LAYER), row_lengths=(22_400,), batch_s=0.1), window_s=15.0)


def memo(name: str, signal: FloatArray) -> Memo:
    return Memo(MemoUploaded(name, "user-1", AT, AT, "memory://memos/1.wav"), signal, GOOD)


def test_each_memo_becomes_one_record_of_features(stage: EmbeddingStage) -> None:
    batch = [memo("a", noise(0.6)), memo("b", noise(1.2, 1))]

    outcomes = settle(stage, batch)

    for one, outcome in zip(batch, outcomes, strict=True):
        assert not isinstance(outcome, Poison)
        (features,) = outcome
        assert (features.memo_id, features.user_id) == (one.event.memo_id, "user-1")
        assert (features.modality, features.names, features.quality) == (Modality.EMBEDDING, (), GOOD)
        assert features.duration_s == one.duration_s
        assert features.windows.shape == (1, LAYER.hidden_size)
        assert features.windows.dtype == features.summary.dtype == np.float32
        np.testing.assert_allclose(features.summary, features.windows[0], rtol=1e-6)
        assert features.extractor == stage.extractors[Modality.EMBEDDING]


def test_what_it_has_prepared_keeps_no_memo_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    part = HEALTH.part("embedding")
    told = part.instead

    def noted(what: str, **how: Any) -> AbstractContextManager[None]:
        runs.append(what)
        return told(what, **how)

    monkeypatch.setattr(part, "instead", noted)
    stage = EmbeddingStage(Embedder(tiny(LAYER), row_lengths=(22_400,), batch_s=6.0), window_s=15.0, warm=True)

    assert [stage.prepare() for _ in range(4)] == [True, True, False, False]

    settle(stage, [memo(str(number), noise(0.6, number)) for number in range(5)])
    assert runs == ["compiling a program"] * 2


def test_it_prepares_nothing_unless_asked(stage: EmbeddingStage) -> None:
    assert not stage.prepare()


def test_poison_stays_with_its_memo(stage: EmbeddingStage) -> None:
    broken = noise(1.0)
    broken[5000] = np.nan
    sound = memo("sound", noise(0.6))

    fine, not_finite, too_short = settle(stage, [sound, memo("n", broken), memo("s", np.zeros(399, np.float32))])

    assert isinstance(not_finite, Poison)
    assert not_finite.reason == "embedding:not_finite"
    assert isinstance(too_short, Poison)
    assert too_short.reason == "embedding:too_short"
    assert fine == settle(stage, [sound])[0]
    for read in (stage.frames, stage.logits):
        with pytest.raises(Poison, match="not finite"):
            read(broken)
        with pytest.raises(Poison, match="shorter than one frame"):
            read(np.zeros(399, np.float32))


def test_frames_are_what_the_summary_is_the_mean_of(stage: EmbeddingStage) -> None:
    (outcome,) = settle(stage, [memo("a", noise(1.2))])
    assert not isinstance(outcome, Poison)
    np.testing.assert_allclose(stage.frames(noise(1.2)).mean(axis=0), outcome[0].summary, atol=1e-5)


def test_the_extractor_says_which_weights_and_which_configuration() -> None:
    one = EmbeddingStage(Embedder(tiny(LAYER)), 15.0).extractors[Modality.EMBEDDING]
    other = EmbeddingStage(Embedder(replace(tiny(LAYER), normalise=False)), 15.0).extractors[Modality.EMBEDDING]

    assert (one.name, one.weights_hash) == ("wav2vec2", "0" * 64)
    assert one.version != other.version
    rounded = EmbeddingStage(Embedder(tiny(LAYER), precision="bfloat16"), 15.0).extractors[Modality.EMBEDDING]
    assert rounded == replace(one, version=f"{one.version}-bfloat16"), (
        "float32 has no name, so older records stay valid"
    )


def test_settings_lead_to_the_shipped_encoder() -> None:
    stage = EmbeddingStage.from_settings(Settings.load())

    assert stage.embedder.checkpoint.config.hidden_size == 128


def test_a_setting_that_leads_nowhere_says_so() -> None:
    with pytest.raises(ConfigurationError, match="neither a folder nor a hub name"):
        EmbeddingStage.from_settings(Settings.load(encoder="./absent/encoder"))


def test_what_precedes_and_follows_the_speech_is_not_embedded(stage: EmbeddingStage) -> None:
    speech = speak(Voice(), 3.0, np.random.default_rng(0))[0]
    tail = np.zeros(60 * 16000, np.float32)

    heard = stage.heard(np.concatenate([tail, speech, tail]))

    assert len(speech) <= len(heard) <= len(speech) + 2.1 * 16000


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_a_checkpoint_that_normalises_hears_every_memo_at_one_level(gain: float) -> None:
    speech = speak(Voice(), 3.0, np.random.default_rng(0))[0]
    embedder = Embedder(tiny(LAYER), row_lengths=(64_000,))
    levelled = EmbeddingStage(embedder, 15.0).heard(speech * np.float32(gain) + np.float32(0.05))
    np.testing.assert_allclose(levelled, EmbeddingStage(embedder, 15.0).heard(speech), atol=1e-3)


def test_another_checkpoint_hears_it_at_its_own_level() -> None:
    speech = speak(Voice(), 3.0, np.random.default_rng(0))[0]
    raw = EmbeddingStage(Embedder(replace(tiny(LAYER), normalise=False)), 15.0)
    np.testing.assert_allclose(raw.heard(speech), speech - speech.mean(), atol=1e-6)
