"""Where a memo is on its way, in words."""

from dataclasses import replace

import pytest

from schemas.events import DeadLetter, Modality
from streams.api.uploads.progress import Progress
from streams.web.languages import languages
from streams.web.trial.steps import ADVICE, ELSE, State, advice, steps
from tests.unit.schemas.records import DEAD, FEATURES, SCORED, UPLOADED

ENGLISH, GERMAN = languages()["en"], languages()["de"]
BOTH = (Modality.ACOUSTIC, Modality.EMBEDDING)


def memo(*measured: Modality, letter: DeadLetter | None = None, scored: bool = False) -> Progress:
    """A memo of which these modalities are there."""
    progress = Progress(UPLOADED, began_s=0.0)
    for number, modality in enumerate(measured, 1):
        progress.features[modality] = replace(FEATURES, modality=modality)
        progress.note(f"features:{modality}", float(number))
    progress.letter, progress.score = letter, SCORED if scored else None
    if scored:
        progress.note("scored", 5.0)
    return progress


def states(progress: Progress) -> list[str]:
    return [step.state for step in steps(progress, BOTH, ENGLISH)]


def test_both_workers_are_at_work_at_once_and_the_agent_waits_for_both() -> None:
    assert states(memo()) == ["done", "now", "now", "waiting"]
    assert states(memo(Modality.EMBEDDING)) == ["done", "now", "done", "waiting"]
    assert states(memo(*BOTH)) == ["done", "done", "done", "now"]


def test_a_score_ends_it_with_the_time_of_every_step() -> None:
    progress = memo(*BOTH, scored=True)
    assert [(step.state, step.after_s) for step in steps(progress, BOTH, ENGLISH)] == [
        (State.DONE, 0.0),
        (State.DONE, 1.0),
        (State.DONE, 2.0),
        (State.DONE, 5.0),
    ]


def test_a_bundle_that_needs_one_modality_shows_no_other_worker() -> None:
    names = [step.title for step in steps(memo(), [Modality.ACOUSTIC], ENGLISH)]
    assert names == ["Sent", "Acoustic worker", "Fusion agent"]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [("acoustic", ["done", "failed", "waiting", "waiting"]), ("fusion", ["done", "waiting", "waiting", "failed"])],
)
def test_a_dead_letter_is_shown_where_it_failed(stage: str, expected: list[str]) -> None:
    progress = memo(letter=replace(DEAD, stage=stage))
    assert states(progress) == expected


def test_a_score_that_came_after_all_is_no_failure() -> None:
    assert states(memo(*BOTH, letter=DEAD, scored=True)) == ["done"] * 4


def test_every_dead_letter_says_what_to_do() -> None:
    for reason, text in [*ADVICE.items(), ("acoustic:crash", ELSE), ("one of a newer version", ELSE)]:
        assert advice(replace(DEAD, reason=reason), ENGLISH) == text
        assert advice(replace(DEAD, reason=reason), GERMAN) not in ("", text)
