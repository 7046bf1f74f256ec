"""The pipeline as one table of stages: what each reads and writes, its consumer group, and who implements it.

Worker start, consumer lag, resubmission, the embedded system, permissions, compose and Kubernetes files and the
documents follow from it, or are compared with it by tests. A new modality is one more member of `Modality` and one more
`FeatureStage`, or one more name in `modalities` of a stage that gives several.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.topics import ALERTS, CARE, DEAD, FEATURES, SCORED, UPLOADED, Topic

AGENTS_GROUP = "undertone-agents"
"""Consumer group of all agents: they run in one process and commit together."""


class Implementation(StrEnum):
    """What a feature worker runs; `workers/stages.py` makes each one, and mypy checks that none is missing."""

    OPENSMILE = "opensmile"
    """openSMILE and the markers of acoustic heaviness, in processes of their own."""
    WAV2VEC2 = "wav2vec2"
    """The Wav2Vec 2.0 encoder in TensorFlow."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One consumer of one topic. name: in metrics, logs, dead letters and health; group: consumer group."""

    name: str
    reads: Topic
    writes: tuple[Topic, ...]
    group: str
    meaning: str


@dataclass(frozen=True, slots=True)
class FeatureStage(Stage):
    """A feature worker: one process, which writes one record of `memos.features` for each of its modalities."""

    modalities: tuple[Modality, ...]
    implementation: Implementation


ACOUSTIC = FeatureStage(
    "acoustic",
    UPLOADED,
    (FEATURES, DEAD),
    "undertone-acoustic",
    "Acoustic features and markers of a memo.",
    modalities=(Modality.ACOUSTIC,),
    implementation=Implementation.OPENSMILE,
)
EMBEDDING = FeatureStage(
    "embedding",
    UPLOADED,
    (FEATURES, DEAD),
    "undertone-embedding",
    "Wav2Vec 2.0 embeddings of a memo.",
    modalities=(Modality.EMBEDDING,),
    implementation=Implementation.WAV2VEC2,
)
FUSION = Stage(
    "fusion", FEATURES, (SCORED, DEAD), AGENTS_GROUP, "Joins the modalities of a memo and scores it."
)  # fmt: skip
DRIFT = Stage("drift", SCORED, (ALERTS, DEAD), AGENTS_GROUP, "Follows each user's scores and raises alerts.")
DEAD_LETTERS = Stage("letters", DEAD, (), AGENTS_GROUP, "Closes the joins of memos that became dead letters.")

HISTORY = "history"
"""Name of the stages that keep for people what the others find out: one process, one group, a stage for each topic."""
HISTORY_GROUP = "undertone-history"
HISTORY_STAGES: tuple[Stage, ...] = tuple(
    Stage(HISTORY, reads, (), HISTORY_GROUP, meaning)
    for reads, meaning in (
        (SCORED, "Keeps scores for the dashboard."),
        (ALERTS, "Keeps alerts for the dashboard."),
        (DEAD, "Counts dead letters for the dashboard."),
        (CARE, "Keeps for the dashboard what people did."),
    )
)
HISTORY_TOPICS: tuple[Topic, ...] = tuple(stage.reads for stage in HISTORY_STAGES)

FEATURE_STAGES: tuple[FeatureStage, ...] = (ACOUSTIC, EMBEDDING)
AGENT_STAGES: tuple[Stage, ...] = (FUSION, DRIFT, DEAD_LETTERS)
STAGES: tuple[Stage, ...] = (*FEATURE_STAGES, *AGENT_STAGES, *HISTORY_STAGES)
"""All of them, in the order of a memo."""
MODALITIES = tuple(modality for stage in FEATURE_STAGES for modality in stage.modalities)
"""Every modality that a stage gives."""


def feature_stages(modalities: Iterable[Modality]) -> tuple[FeatureStage, ...]:
    """The feature workers that together extract these modalities, in the order of the modalities, each once.

    Raises ConfigurationError for a modality that no stage extracts.
    """
    return tuple(dict.fromkeys(map(_giver, modalities)))


def stages(modalities: Iterable[Modality]) -> tuple[Stage, ...]:
    """Every stage of a pipeline that scores by these modalities, in the order of a memo."""
    return (*feature_stages(modalities), *AGENT_STAGES)


def feature_stage(name: str) -> FeatureStage:
    """The feature worker of this name. Raises ConfigurationError for any other name."""
    found = next((stage for stage in FEATURE_STAGES if stage.name == name), None)
    if found is None:
        known = ", ".join(stage.name for stage in FEATURE_STAGES)
        raise ConfigurationError(f"no feature worker is named {name}; choose one of {known}")
    return found


def _giver(modality: Modality) -> FeatureStage:
    found = next((stage for stage in FEATURE_STAGES if modality in stage.modalities), None)
    if found is None:
        raise ConfigurationError(f"UNDERTONE_MODALITIES: no feature worker extracts {modality}")
    return found
