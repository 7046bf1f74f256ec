"""What a precision of the encoder changes downstream: `python -m tests.benchmarks.precisions`

Writes `results/precisions.md`: the shipped encoder on OpenVINO in every precision that this machine computes. On real
speech (UNDERTONE_SHARED, or `shared` beside the project): frames beside those in float32, and a head that tells sadness
from neutral, one speaker left out. On the demo's cohort: scores of the shipped bundle, and the alerts they lead to.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from schemas.errors import ConfigurationError
from schemas.events import FloatArray, MemoUploaded, Modality
from schemas.pipeline import ACOUSTIC
from schemas.settings import Settings
from streams.drift.replay import Line, parse, replay
from streams.drift.rules import Rules
from tests.benchmarks.acoustic import real_speech
from tests.benchmarks.machine import provenance
from workers.audio.load import load_bytes
from workers.audio.memo import SAMPLING_RATE, Memo
from workers.scoring.bundle import Bundle
from workers.scoring.feature_space import Parts
from workers.scoring.personal_baseline import PersonalNormal, updated
from workers.scoring.scorer import Scored, Scorer
from workers.simulation.cohort import ScriptedUser, cohort, sound_of
from workers.stages import FeatureExtractor, make_stage
from workers.wav2vec2.embedder import Embedding
from workers.wav2vec2.engines.engine import Precision
from workers.wav2vec2.engines.guard import least_cosine
from workers.wav2vec2.stage import EmbeddingStage

RESULT = Path(__file__).parent / "results" / "precisions.md"
EXACT: Precision = "float32"
START, USERS, DAYS = datetime(2026, 1, 5, tzinfo=UTC), 6, 49
TOGETHER = 8
BOTH = (Modality.ACOUSTIC, Modality.EMBEDDING)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Clips of real speech. sad: (clips,) labels; speakers: (clips,)."""

    signals: list[FloatArray]
    sad: NDArray[np.int64]
    speakers: NDArray[np.str_]


def main() -> None:
    """Measure and write the page."""
    stages = dict(_stages())
    lines = ["# What a precision of the encoder changes", "", provenance("python -m tests.benchmarks.precisions"), ""]
    if clips := _clips():
        lines += [*_speech(stages, clips), ""]
    lines += _cohort(stages)
    RESULT.write_text("\n".join(lines).rstrip() + "\n")
    sys.stdout.write(RESULT.read_text())


def _stages() -> Iterator[tuple[Precision, EmbeddingStage]]:
    """The shipped encoder in every precision that its guard admits here; float32 comes first."""
    for precision in get_args(Precision):
        try:
            yield precision, EmbeddingStage.from_settings(Settings.load(engine="openvino", precision=precision))
        except ConfigurationError as error:
            print(f"{precision}: {error}", file=sys.stderr)


def _clips() -> Labelled | None:
    rows = [(path, row) for path, row in real_speech() if row["emotion"] in {"sadness", "neutral"}]
    if not rows:
        return None
    sad = np.array([row["emotion"] == "sadness" for _, row in rows], np.int64)
    signals = [soundfile.read(path, dtype="float32")[0] for path, _ in rows]
    return Labelled(signals, sad, np.array([row["speaker"] for _, row in rows]))


def _speech(stages: Mapping[Precision, EmbeddingStage], clips: Labelled) -> Iterator[str]:
    embedded = {name: stage.embedder.embed_frames(clips.signals) for name, stage in stages.items()}
    exact = embedded[EXACT]
    trained, own = _held_out(_means(exact), _means(exact), clips), {}
    for name, embeddings in embedded.items():
        own[name] = _held_out(_means(embeddings), _means(embeddings), clips)
    yield from ("## Real speech", "")
    yield f"EmoDB, sadness against neutral, {len(clips.sad)} clips, one speaker left out at a time; logistic regression"
    yield f"on window means. Logits of the head that was trained in float32 have an SD of {trained.std():.2f}."
    yield ""
    yield "precision | worst cosine of a frame | AUC, own head | AUC, head of float32 | largest change of a logit"
    yield "---|---|---|---|---"
    for name, embeddings in embedded.items():
        given = _held_out(_means(exact), _means(embeddings), clips)
        aucs = f"{roc_auc_score(clips.sad, own[name]):.4f} | {roc_auc_score(clips.sad, given):.4f}"
        yield f"{name} | {_worst_cosine(embeddings, exact):.5f} | {aucs} | {np.abs(given - trained).max():.3f}"


def _means(embeddings: Sequence[Embedding]) -> FloatArray:
    return np.stack([embedding.summary for embedding in embeddings])


def _held_out(train: FloatArray, judged: FloatArray, clips: Labelled) -> NDArray[np.float64]:
    """(clips,) logits of the judged embeddings, each by a head that heard nothing of its speaker."""
    logits = np.zeros(len(judged))
    for heard, held in LeaveOneGroupOut().split(train, clips.sad, clips.speakers):
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        logits[held] = head.fit(train[heard], clips.sad[heard]).decision_function(judged[held])
    return logits


def _worst_cosine(some: Sequence[Embedding], exact: Sequence[Embedding]) -> float:
    return min(least_cosine(_frames(one), _frames(other)) for one, other in zip(some, exact, strict=True))


def _frames(embedding: Embedding) -> FloatArray:
    assert embedding.frames is not None
    return embedding.frames


def _cohort(stages: Mapping[Precision, EmbeddingStage]) -> Iterator[str]:
    people = cohort(1, USERS, DAYS, START)
    acoustic = make_stage(Settings.load(), ACOUSTIC)
    followed = {name: _followed(people, acoustic, stage, stages[EXACT]) for name, stage in stages.items()}
    acoustic.close()
    exact, alerts = followed[EXACT]
    yield from ("## The demo's cohort", "")
    yield f"{len(exact)} memos of {USERS} simulated people by the shipped bundle; one false alert a person and year."
    yield ""
    yield "precision | largest change of a logit | rank correlation | alerts | the same as in float32"
    yield "---|---|---|---|---"
    for name, (logits, found) in followed.items():
        same = "yes" if found == alerts else "no"
        yield f"{name} | {np.abs(logits - exact).max():.4f} | {spearmanr(logits, exact)[0]:.5f} | {len(found)} | {same}"


def _followed(
    people: Sequence[ScriptedUser], acoustic: FeatureExtractor, stage: EmbeddingStage, exact: EmbeddingStage
) -> tuple[NDArray[np.float64], list[tuple[str, str, datetime]]]:
    """Logits of all memos, each against the speaker's own before it, and who was alerted about, what and when."""
    scorer, lines = Scorer(Bundle.load(Settings.load().bundle)), list[Line]()
    for person in people:
        normal = PersonalNormal.empty(len(scorer.bundle.names))
        memos = [_memo(person, number) for number in range(len(person.memos))]
        for memo, parts in zip(memos, _parts(memos, acoustic, stage, exact), strict=True):
            (scored,) = scorer.score([(parts, normal)])
            assert isinstance(scored, Scored), scored
            if scored.vector is not None:
                normal = updated(normal, scored.vector)
            event = memo.event
            told = {"user_id": event.user_id, "memo_id": event.memo_id, "recorded_at": event.recorded_at.isoformat()}
            lines.append(parse(json.dumps(told | {"probability": scored.probability})))
    alerts = replay(lines, Rules.from_settings(Settings.load()), now_s=lines[-1].recorded_s + 1)
    logits = np.array([line.observation.logit for line in lines], float)
    return logits, [(alert.user_id, str(alert.state), alert.at) for alert in alerts]


def _memo(person: ScriptedUser, number: int) -> Memo:
    script = person.memos[number]
    at = script.recorded_at
    audio = BytesIO()
    soundfile.write(audio, sound_of(person, script)[0], SAMPLING_RATE, format="WAV")
    event = MemoUploaded(f"{person.user_id}-{number}", person.user_id, at, at, "")
    return Memo(event, *load_bytes(audio.getvalue(), Settings.load()))


def _parts(
    memos: Sequence[Memo], acoustic: FeatureExtractor, stage: EmbeddingStage, exact: EmbeddingStage
) -> Iterator[Parts]:
    """Features by modality; those of the encoder pass for the extractor that the bundle knows."""
    known = exact.extractors[Modality.EMBEDDING]
    for start in range(0, len(memos), TOGETHER):
        some = memos[start : start + TOGETHER]
        for heard, embedded in zip(acoustic.process(some), stage.process(some), strict=True):
            assert not isinstance(heard, Exception)
            assert not isinstance(embedded, Exception)
            found = {each.modality: each for each in (*heard, *embedded)}
            found[Modality.EMBEDDING] = replace(found[Modality.EMBEDDING], extractor=known)
            yield {modality: found[modality] for modality in BOTH}


if __name__ == "__main__":
    main()
