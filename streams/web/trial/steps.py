"""How far a memo is on its way through the system, step by step, in words. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.events import DeadLetter, Modality
from schemas.pipeline import ACOUSTIC, EMBEDDING, FEATURE_STAGES, FUSION, FeatureStage, feature_stages
from streams.api.uploads.progress import Progress
from streams.web.languages import Language

_ = str  # marks messages; they are translated where they are shown


class State(StrEnum):
    """Of one step."""

    DONE = "done"
    NOW = "now"
    WAITING = "waiting"
    FAILED = "failed"


TITLES = {
    ACOUSTIC.name: _("Acoustic worker"),
    EMBEDDING.name: _("Embedding worker"),
    FUSION.name: _("Fusion agent"),
}
MEANINGS = {
    ACOUSTIC.name: _("measures pitch, pauses, loudness and voice quality"),
    EMBEDDING.name: _("computes what the Wav2Vec 2.0 encoder hears"),
    FUSION.name: _("compares the memo with the speaker's own normal and scores it"),
}
STATES = {
    State.DONE: _("done"),
    State.NOW: _("at work"),
    State.WAITING: _("waiting"),
    State.FAILED: _("failed"),
}

AGAIN = _("Record or save it again, as WAV for example, and send that.")
ADVICE = {
    "audio:undecodable": AGAIN,
    "audio:empty": AGAIN,
    "audio:too_short": _("Send a longer recording: ten to thirty seconds are good."),
    "acoustic:too_short": _("Send a longer recording: ten to thirty seconds are good."),
    "embedding:too_short": _("Send a longer recording: ten to thirty seconds are good."),
    "audio:too_long": _("Send a shorter recording, or ask an operator to raise UNDERTONE_AUDIO_MAX_S."),
    "audio:too_large": _("Send a smaller file, or ask an operator to raise UNDERTONE_AUDIO_MAX_BYTES."),
    "audio:uri_refused": _("Ask an operator to add the store of uploads to UNDERTONE_AUDIO_PREFIXES of the workers."),
    "audio:missing": _("Ask an operator whether the workers can read the store of uploads (UNDERTONE_UPLOAD_STORE)."),
}
ELSE = _("Ask an operator: `undertone dead-letters` lists it, and sends it back once the cause is fixed.")


@dataclass(frozen=True, slots=True)
class Step:
    """One step as a page shows it. after_s: seconds after the memo was sent, None before it is done."""

    state: State
    title: str
    state_words: str
    text: str
    after_s: float | None = None


def steps(progress: Progress, modalities: Iterable[Modality], language: Language) -> list[Step]:
    """The steps of one memo, in their order; both workers are at work at once. modalities: that the bundle needs."""
    workers = feature_stages(modalities)
    letter = None if progress.score is not None else progress.letter
    sent = Step(State.DONE, language.gettext(_("Sent")), _state(State.DONE, language), language.gettext(_SENT), 0.0)
    measured = [_worker(stage, progress, letter, language) for stage in workers]
    return [sent, *measured, _fusion(progress, workers, letter, language)]


_SENT = _("Kafka has the memo: it cannot be lost any more")


def advice(letter: DeadLetter, language: Language) -> str:
    """What to do about a dead letter."""
    return language.gettext(ADVICE.get(letter.reason, ELSE))


def _worker(stage: FeatureStage, progress: Progress, letter: DeadLetter | None, language: Language) -> Step:
    done = [progress.after_s.get(f"features:{modality}") for modality in stage.modalities]
    after_s = max((each for each in done if each is not None), default=None)
    if None not in done or progress.score is not None:
        return _step(stage.name, State.DONE, language, after_s)
    if letter is not None:
        return _step(stage.name, State.FAILED if letter.stage == stage.name else State.WAITING, language)
    return _step(stage.name, State.NOW, language)


def _fusion(progress: Progress, workers: Sequence[FeatureStage], letter: DeadLetter | None, language: Language) -> Step:
    if progress.score is not None:
        return _step(FUSION.name, State.DONE, language, progress.after_s.get("scored"))
    if letter is not None:
        failed = letter.stage not in {stage.name for stage in FEATURE_STAGES}
        return _step(FUSION.name, State.FAILED if failed else State.WAITING, language)
    measured = all(modality in progress.features for stage in workers for modality in stage.modalities)
    return _step(FUSION.name, State.NOW if measured else State.WAITING, language)


def _step(name: str, state: State, language: Language, after_s: float | None = None) -> Step:
    title, text = language.gettext(TITLES.get(name, name)), language.gettext(MEANINGS.get(name, ""))
    return Step(state, title, _state(state, language), text, after_s)


def _state(state: State, language: Language) -> str:
    return language.gettext(STATES[state])
