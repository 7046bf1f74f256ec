"""Training as a whole: what a saved bundle knows of its training, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.bundle_manifest import ENCODER
from schemas.errors import ConfigurationError
from schemas.events import Modality
from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.corpora.corpus import TEST, TRAIN, Corpus
from workers.corpora.examples import EVERY, Examples
from workers.corpora.features import LabelledFeatures
from workers.corpora.leakage import fingerprints
from workers.corpora.manifest import Sample
from workers.scoring.bundle import CARD, Bundle
from workers.training import train as module
from workers.training.fit_heads import uncalibrated
from workers.training.train import Trained, train

RECIPE_OF_TWO = replace(RECIPE, folds=2, cold_starts=(0, EVERY))


def corpus_of(examples: Examples, test: np.ndarray) -> tuple[Corpus, LabelledFeatures]:
    """These examples as a corpus, of which `test` (memos,) is the test side."""
    samples = [
        Sample(Path(f"{number}.wav"), str(speaker), float(label))
        for number, (speaker, label) in enumerate(zip(examples.speakers, examples.labels, strict=True))
    ]
    sides = [TEST if held else TRAIN for held in test]
    corpus = Corpus(samples, [f"{number:064d}" for number in range(len(samples))], sides)
    return corpus, LabelledFeatures(examples, samples, EXTRACTORS, {})


EXAMPLES = people(speakers=8, memos=6)
TEST_SIDE = np.isin(EXAMPLES.speakers, ["s06", "s07"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """On six of eight speakers, each with memos of both labels."""
    corpus, features = corpus_of(EXAMPLES, TEST_SIDE)
    return train(corpus, features, RECIPE_OF_TWO, tmp_path_factory.mktemp("bundle"))


def test_a_bundle_knows_its_training(trained: Trained) -> None:
    corpus, _ = corpus_of(EXAMPLES, TEST_SIDE)
    training = trained.bundle.training
    assert training["data"] == "36 memos of 6 speakers"
    assert training["corpus"] == corpus.digest
    assert training["recordings"] == fingerprints(corpus.hashes[:36]), "the test side was not trained on"
    assert training["recipe"]["cold_starts"] == [0, EVERY]
    assert {"keras", "numpy", "opensmile", "scikit-learn"} == {*training["versions"]}


def test_what_is_loaded_is_what_was_trained(trained: Trained) -> None:
    assert trained.bundle.path is not None
    loaded = Bundle.load(trained.bundle.path)
    assert loaded.id == trained.bundle.id
    assert loaded.id.startswith("undertone-")
    assert loaded.id in (trained.bundle.path / CARD).read_text()


def test_metrics_are_of_held_out_speakers_and_of_the_test_side(trained: Trained) -> None:
    assert {*trained.figures} == {"logistic", "test"}
    assert (trained.figures["logistic"]["n"], trained.figures["logistic"]["folds"]) == (36, 2)
    assert (trained.figures["test"]["n"], trained.figures["test"]["speakers"]) == (12, 2)


def test_choices_are_judged_apart_where_speakers_suffice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    corpus, features = corpus_of(EXAMPLES, TEST_SIDE)
    one, other = RECIPE_OF_TWO, replace(RECIPE_OF_TWO, patience=8.0)
    monkeypatch.setattr(module, "settled_apart", lambda *_: [one, other])
    apart = train(corpus, features, RECIPE_OF_TWO, tmp_path / "a").figures["logistic"]["choices_apart"]
    assert apart["n"] == 36
    assert apart["folds_choosing_otherwise"] == 1
    monkeypatch.setattr(module, "settled_apart", lambda *_: None)
    assert train(corpus, features, RECIPE_OF_TWO, tmp_path / "b").figures["logistic"]["choices_apart"] is None


def test_without_a_test_side_there_are_no_metrics_of_one(tmp_path: Path) -> None:
    corpus, features = corpus_of(EXAMPLES, np.zeros(len(EXAMPLES), bool))
    assert "test" not in train(corpus, features, RECIPE_OF_TWO, tmp_path).figures


def test_where_every_speaker_has_one_label_no_baseline_is_learnt_with(tmp_path: Path) -> None:
    examples = people(speakers=8, memos=8)
    own = examples.chosen((examples.labels > 0.5) == np.isin(examples.speakers, ["s01", "s03", "s05", "s07"]))
    corpus, features = corpus_of(own, np.zeros(len(own), bool))
    bundle = train(corpus, features, RECIPE_OF_TWO, tmp_path).bundle
    assert bundle.training["recipe"]["cold_starts"] == [0]


def test_a_corpus_without_a_train_side_is_refused(tmp_path: Path) -> None:
    corpus, features = corpus_of(EXAMPLES, np.ones(len(EXAMPLES), bool))
    with pytest.raises(ConfigurationError, match="train side"):
        train(corpus, features, RECIPE_OF_TWO, tmp_path)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_an_encoder_in_a_folder_is_copied_and_a_name_is_kept(
    trained: Trained, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    copied = module._with_encoder(trained.bundle, str(checkpoint), out)
    assert copied.encoder == ENCODER
    assert (out / ENCODER / "config.json").is_file()
    again = module._with_encoder(trained.bundle, str(out / ENCODER), out)
    assert again.encoder == ENCODER
    assert module._with_encoder(trained.bundle, "someone/wav2vec2", out).encoder == "someone/wav2vec2"
    assert module._with_encoder(trained.bundle, None, out).encoder == trained.bundle.encoder


def test_a_bundle_that_hears_no_embedding_has_no_encoder(checkpoint: Path, tmp_path: Path) -> None:
    acoustic = uncalibrated(EXAMPLES, {Modality.ACOUSTIC: EXTRACTORS[Modality.ACOUSTIC]}, RECIPE)
    assert module._with_encoder(acoustic, str(checkpoint), tmp_path / "out").encoder is None
    assert not (tmp_path / "out").exists()
