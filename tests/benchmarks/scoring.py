"""Evidence for scores: `python -m tests.benchmarks.scoring`, about 15 minutes on one core.

Writes `results/scoring.md`. The simulator part needs nothing; the comparison of heads and the re-encoded clips need the
folder of real speech (UNDERTONE_SHARED, or `shared` beside the project).
"""

import csv
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from schemas.errors import Poison
from schemas.events import FloatArray, Modality, Quality
from schemas.settings import SHIPPED_BUNDLE, Settings
from tests.audio_files import ffmpeg, sndfile
from tests.benchmarks.machine import ROOT, provenance
from workers.audio.load import load_bytes
from workers.audio.memo import SAMPLING_RATE
from workers.corpora.feature_cache import Recording, extracted
from workers.corpora.features import LabelledFeatures, extractions, labelled_features
from workers.corpora.leakage import content_hashes
from workers.corpora.manifest import Sample
from workers.evaluation.evaluate import evaluate
from workers.scoring.bundle import Bundle
from workers.scoring.feature_space import Parts
from workers.scoring.heads import KINDS
from workers.scoring.personal_baseline import PersonalNormal, normal_of
from workers.scoring.scorer import Scored, Scorer
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import Voice, speak
from workers.training.cross_validation import held_out_by, hold_out
from workers.training.demo_bundle import RECIPE, SPEAKERS, cohort_memos, examples_of
from workers.training.fit_bundle import fit
from workers.training.held_out_metrics import cross_validated
from workers.training.model_selection import settled_apart
from workers.training.recipe import Recipe

RESULT = Path(__file__).parent / "results" / "scoring.md"
CACHE = ROOT / ".undertone" / "features"
BOTH = (Modality.ACOUSTIC, Modality.EMBEDDING)
USERS, CALM = 20, 10
FRESH = 3 * SPEAKERS
"""Voices to judge by: with as few as those of the training, one of them bends a curve."""
CLIPS = 100
FIGURES = ("auc", "uar", "ece", "sensitivity", "specificity", "undecided_share")


@dataclass(frozen=True, slots=True)
class Bytes:
    """An encoded file as a Recording."""

    data: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """Digest of the file."""
        return sha256(self.data).hexdigest()

    def read(self) -> tuple[FloatArray, Quality]:
        """Decoded and assessed as a worker does."""
        return load_bytes(self.data, Settings.load())


def main() -> None:
    """Measure everything and write the page."""
    lines = [
        "# Scores",
        "",
        f"{provenance('python -m tests.benchmarks.scoring')}; bundle `{Bundle.load(SHIPPED_BUNDLE).id}`",
        "",
        *planted_pauses(),
        *fresh_voices(),
        *throughput(),
    ]
    shared = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared"))
    if (shared / "audio" / "manifest.csv").is_file():
        lines += [*heads(shared), *encodings(shared)]
    else:
        sys.stderr.write("no folder of real speech: heads and encodings are left out\n")
    RESULT.write_text("\n".join(lines))


def planted_pauses() -> Iterator[str]:
    """A user speaks ten times as usual, then pauses more: what does the evidence name first?"""
    settings = Settings.load()
    memos: list[Recording] = []
    for user in range(USERS):
        rng = np.random.default_rng([77, user])
        voice = random_voice(rng)
        for number in range(CALM + 1):
            today = voice_at(voice, 0.1, rng)
            if number == CALM:
                today = replace(today, pause_share=today.pause_share + 0.25, pauses_per_min=today.pauses_per_min * 1.5)
            memos.append(Bytes(_spoken(today, rng)))
    parts = _features(memos, settings, (Modality.ACOUSTIC,))
    bundle = Bundle.load(SHIPPED_BUNDLE)
    first = []
    for user in range(USERS):
        own = parts[user * (CALM + 1) : (user + 1) * (CALM + 1)]
        normal = normal_of(np.stack([bundle.space.vector(p) for p in own[:CALM]]))
        (scored,) = Scorer(bundle).score([(own[CALM], normal)])
        assert isinstance(scored, Scored)
        first.append(scored.evidence[0].name)
    named = sum(name.startswith("pause_") for name in first)
    yield "## A planted change of pauses"
    yield ""
    yield f"After {CALM} usual memos, one with a quarter more of its time in pauses: a pause marker comes first in the"
    yield f"evidence of {named} of {USERS} simulated users (first: {', '.join(sorted(set(first)))})."
    yield ""


def fresh_voices() -> Iterator[str]:
    """How the shipped bundle does on voices it was not trained on, by how many memos of their own they have."""
    settings = Settings.load()
    memos = cohort_memos(settings, SPEAKERS + FRESH)
    examples = examples_of(memos, [*_features(memos, settings, BOTH)])
    learnt = np.isin(examples.speakers, [memo.speaker for memo in cohort_memos(settings)])
    bundle, fresh = Bundle.load(SHIPPED_BUNDLE), examples.chosen(~learnt)
    population = replace(RECIPE, cold_starts=(0,))
    plain = fit(examples.chosen(learnt), bundle.space.extractors, population, name="t").bundle
    found = evaluate(bundle, fresh, [{}] * len(fresh)).figures
    alone = evaluate(plain, fresh, [{}] * len(fresh), rounds=1).figures["cold_start"]["0"]
    yield "## Cold start"
    yield ""
    yield f"The shipped bundle on {FRESH} simulated voices that it was not trained on, {len(fresh)} memos: AUC by"
    yield "how many earlier memos of their own they have, as far as there are so many, and the 95 % interval, over"
    yield "voices, of what that is above none: one around 0 is no sign of a gain or a loss."
    yield ""
    yield "| memos | AUC | above none |"
    yield "|---|---|---|"
    for memos, value in found["cold_start"].items():
        gain = " to ".join(f"{edge:+.4f}" for edge in found["cold_start_gain"].get(memos, ()))
        yield f"| {memos} | {value:.4f} | {gain} |"
    yield ""
    yield f"The same recipe trained without any personal baseline, judged without: {alone:.4f}."
    yield ""


def throughput() -> Iterator[str]:
    """Scores a second, in batches of 500."""
    bundle = Bundle.load(SHIPPED_BUNDLE)
    parts = _features([Bytes(_spoken(Voice(), np.random.default_rng(1)))], Settings.load(), BOTH)
    batch = [(parts[0], PersonalNormal.empty(len(bundle.names)))] * 500
    scorer = Scorer(bundle)
    scorer.score(batch)
    began = time.perf_counter()
    for _ in range(10):
        scorer.score(batch)
    yield f"{5000 / (time.perf_counter() - began):,.0f} memos a second are scored, in batches of 500, on one core."
    yield ""


def heads(shared: Path) -> Iterator[str]:
    """Leave one speaker out, sadness against neutral, every head; then the curve of the default."""
    features = _emodb(shared)
    yield "## Sadness against neutral, one speaker left out at a time"
    yield ""
    yield f"EmoDB, {len(features.examples)} acted clips of 10 speakers, acoustic features, personal normalisation by"
    yield "the speaker's other clips, without their labels. It says nothing about depression. No speaker had a part in"
    yield "the choices (how patient a head is, whether there are two) that their own clips are judged by; the last"
    yield "column but one is the AUC under choices that all of them had a part in, which the bundle itself is made by."
    yield ""
    columns = "AUC, 95 % | decided: sensitivity, specificity | AUC, choices by all | s to train"
    yield f"| head | {' | '.join(FIGURES)} | {columns} |"
    yield "|---" * (len(FIGURES) + 5) + "|"
    choices = None
    for kind in KINDS:
        began = time.perf_counter()
        recipe = Recipe(kind=kind)
        fitted = fit(features.examples, features.extractors, recipe, name="t")
        took = time.perf_counter() - began
        made = fitted.held_out.recipe
        with threadpool_limits(1, "blas"):
            choices = choices or settled_apart(features.examples, features.extractors, recipe, made)
        own = [replace(choice, kind=kind) for choice in choices or ()]
        apart = held_out_by(own, fitted.held_out, features.examples, features.extractors)
        found, together = (cross_validated(features.examples, held) for held in (apart, fitted.held_out))
        low, high = found["auc_ci"]
        figures = " | ".join(f"{found[name]:.3f}" for name in FIGURES)
        decided = f"{found['sensitivity_decided']:.3f}, {found['specificity_decided']:.3f}"
        yield f"| {kind} | {figures} | {low:.3f} to {high:.3f} | {decided} | {together['auc']:.3f} | {took:.0f} |"
    yield ""
    yield from _cold_start(features)


def _cold_start(features: LabelledFeatures) -> Iterator[str]:
    examples = features.examples
    curves: dict[str, list[float]] = {}
    population, alone = Recipe(cold_starts=(0,)), []
    for half in (0, 1):
        held = np.isin(examples.speakers, np.unique(examples.speakers)[half::2])
        bundle = fit(examples.chosen(~held), features.extractors, Recipe(folds=5), name="t").bundle
        plain = fit(examples.chosen(~held), features.extractors, population, name="t").bundle
        test = examples.chosen(held)
        for memos, value in evaluate(bundle, test, [{}] * len(test), rounds=1).figures["cold_start"].items():
            curves.setdefault(memos, []).append(value)
        alone.append(evaluate(plain, test, [{}] * len(test), rounds=1).figures["cold_start"]["0"])
    strangers = hold_out(examples, features.extractors, population)
    left_out = cross_validated(examples, strangers, rounds=1)["auc"]
    yield "AUC by how many clips of their own speakers have (trained on five speakers, judged on the other five):"
    yield "; ".join(f"{memos}: {np.mean(values):.3f}" for memos, values in curves.items()) + "."
    yield f"Trained without any personal baseline, in the same way: {np.mean(alone):.3f};"
    yield f"one speaker left out: {left_out:.3f}."
    yield ""


def encodings(shared: Path) -> Iterator[str]:
    """How far the shipped bundle's probability moves when a clip is encoded anew."""
    with (shared / "audio" / "manifest.csv").open() as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["corpus"] == "emodb"]
    chosen = np.random.default_rng(0).permutation(sorted(paths))[:CLIPS]
    files = [_encodings(soundfile.read(shared / "audio" / path, dtype="float32")[0]) for path in chosen]
    names = list(files[0])
    parts = _features([Bytes(clip[name]) for clip in files for name in names], Settings.load(), BOTH)
    bundle = Bundle.load(SHIPPED_BUNDLE)
    empty = PersonalNormal.empty(len(bundle.names))
    scored = [r for r in Scorer(bundle).score([(p, empty) for p in parts]) if isinstance(r, Scored)]
    said = np.array([np.nan if s.probability is None else s.probability for s in scored]).reshape(len(files), -1)
    yield "## The same clip in another encoding"
    yield ""
    yield f"{len(files)} EmoDB clips, scored by the shipped bundle without a baseline; how far the probability moves."
    quartiles = ", ".join(f"{q:.2f}" for q in np.quantile(said[:, 0], [0, 0.25, 0.5, 0.75, 1]))
    yield f"Probabilities of the originals, quartiles: {quartiles}."
    yield ""
    yield "| encoding | median | 90 % | largest |"
    yield "|---|---|---|---|"
    for column, name in enumerate(names[1:], 1):
        moved = np.abs(said[:, column] - said[:, 0])
        yield f"| {name} | {np.median(moved):.3f} | {np.quantile(moved, 0.9):.3f} | {moved.max():.3f} |"
    yield ""


def _encodings(signal: FloatArray) -> dict[str, bytes]:
    return {
        "wav": sndfile(signal),
        "m4a": ffmpeg(signal, container="ipod", codec="aac"),
        "m4a, 44.1 kHz, 96 kbit/s": ffmpeg(signal, container="ipod", codec="aac", rate=44100, bit_rate=96000),
        "opus": ffmpeg(signal, container="ogg", codec="libopus"),
        "opus, 32 kbit/s": ffmpeg(signal, container="ogg", codec="libopus", rate=48000, bit_rate=32000),
        "mp3": ffmpeg(signal, container="mp3", codec="libmp3lame"),
        "wav, 48 kHz, 24 bit, stereo": sndfile(signal, subtype="PCM_24", rate=48000, channels=2),
        "wav, 8 kHz": sndfile(signal, rate=8000),
    }


def _emodb(shared: Path) -> LabelledFeatures:
    with (shared / "audio" / "manifest.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["emotion"] in ("sadness", "neutral")]
    samples = [Sample(shared / "audio" / r["path"], r["speaker"], float(r["emotion"] == "sadness")) for r in rows]
    return labelled_features(samples, content_hashes(samples), Settings.load(), (Modality.ACOUSTIC,), CACHE)


def _features(recordings: Sequence[Recording], settings: Settings, modalities: Sequence[Modality]) -> list[Parts]:
    with extractions(settings, modalities) as stages:
        found = extracted(recordings, stages, CACHE)
    assert not any(isinstance(parts, Poison) for parts in found)
    return [parts for parts in found if not isinstance(parts, Poison)]


def _spoken(voice: Voice, rng: np.random.Generator) -> bytes:
    return sndfile(speak(voice, 10.0, rng)[0], rate=SAMPLING_RATE)


if __name__ == "__main__":
    main()
