"""The page for people: what is held of them, and what every number of it is. Pure."""

from collections.abc import Iterator, Mapping

from schemas.events import AlertState, Band, CareAction, Evidence, RiskAlert, RiskScored
from schemas.markers import MARKER
from schemas.reasons import ABSTENTIONS
from schemas.topics import DEAD
from streams.reasons.phrases import evidence_said, said
from streams.views.export.holdings import Holdings
from streams.views.export.markup import document, paragraph, section, table
from streams.views.export.places import TOPICS
from streams.views.export.state import state_lines

COMPASS = "A compass, never a diagnosis."
BANDS = {Band.LOW: "low", Band.HIGH: "high", Band.INDETERMINATE: "not judged"}
STATES = {AlertState.RAISED: "began", AlertState.ESCALATED: "became stronger", AlertState.RESOLVED: "ended"}
NUMBERS = (
    ("Estimate", "From 0 to 100 %: how likely, by what the program has learned, a questionnaire about mood would be "
     "above its limit on a day with such a voice. It is an estimate about one recording, and often wrong."),
    ("Band", "Low or high: on which side of the middle the estimate is. Not judged: it was too near the middle, or the "
     "recording could not be used; the reason is next to it."),
    ("What was heard", "Measurements of the voice that moved the estimate, with their value and what is usual for this "
     "person. SD says how far from usual: most recordings are within 2 SD, to either side."),
    ("Logit", "How much one measurement alone moves the estimate: above 0 up, below 0 down."),
    ("Statistic", "Of the stored state: how far the estimates of many days together are from this person's own past."),
)  # fmt: skip
ABSENT = (
    "Recordings: Undertone keeps the address of each recording, which records/memos.uploaded.json lists, and at most "
    "a copy until it has been processed. Whoever runs the service that you spoke to has the recordings.",
    "Names: Undertone knows a pseudonym alone. Whoever runs the service knows whose it is.",
    "Who looked: the record of who looked at these data, which is also about those people, is kept by itself.",
    "What was sent on: other systems to which alerts were sent keep them by their own rules; so do backups and logs.",
    "Measurements of parts of a recording: of each recording there is the summary of all its parts.",
)


def page(held: Holdings, files: Mapping[str, str]) -> str:
    """The page. files: what is in each file of the archive, by name."""
    made = f"Made at {held.at:%Y-%m-%d %H:%M} UTC for the pseudonym {held.user_id}."
    return document(
        "What Undertone holds about you",
        paragraph(COMPASS, "note"),
        paragraph(
            "Undertone listens to how a voice sounds, not to what is said, and compares recordings with earlier ones "
            "of the same person. Nothing here is a statement about health, and nothing is for emergencies."
        ),
        paragraph(made),
        section("What the numbers are", table("Numbers", ("Number", "What it says"), NUMBERS, "")),
        section("Your recordings, newest first", _scores(held)),
        section("Changes that were noticed, oldest first", _steps(held)),
        section("What people did about it, oldest first", _actions(held)),
        section("Recordings that could not be processed", _letters(held)),
        section("What is stored at this moment", table("Stored", ("What", "Says"), state_lines(held), "")),
        section("How long it is kept", _retention()),
        section("What is not in this archive", *map(paragraph, ABSENT)),
        section("The files of this archive", table("Files", ("File", "Holds"), files.items(), "")),
    )


def _scores(held: Holdings) -> str:
    headings = ("Recorded (UTC)", "Estimate", "Band", "Why it was not judged", "What was heard", "Program")
    rows = ([f"{each.recorded_at:%Y-%m-%d %H:%M}", *_score(each)] for each in held.scores)
    return table("Recordings", headings, rows, "There are no recordings that were scored.")


def _score(score: RiskScored) -> Iterator[str]:
    yield "none" if score.probability is None else f"{100 * score.probability:.0f} %"
    yield BANDS[score.band]
    yield "\n".join(ABSTENTIONS.get(reason, reason) for reason in score.reasons)
    yield "\n".join(map(_heard, score.evidence))
    demonstration = " (a demonstration, which says nothing about anybody)"
    yield score.bundle_id + (demonstration if score.bundle_id.startswith("demo-") else "")


def _heard(each: Evidence) -> str:
    """One measurement in words."""
    marker = MARKER.get(each.name)
    if marker is None:
        return f"{each.name} {each.value:g} ({each.deviation_sd:+.1f} SD)"
    usual = "" if each.usual is None else f", usually {marker.shown(each.usual)}"
    added = "" if each.contribution is None else f", logit {each.contribution:+.2f}"
    doubt = ", perhaps by the recording" if each.fragile else ""
    measured = f"{marker.title} {marker.shown(each.value)}{usual}; {each.deviation_sd:+.1f} SD{added}{doubt}"
    return f"{marker.words(each.deviation_sd)} ({measured})"


def _steps(held: Holdings) -> str:
    rows = ([f"{each.at:%Y-%m-%d %H:%M}", *_step(each)] for each in held.steps)
    return table("Changes", ("When (UTC)", "What", "Measurements"), rows, "No change was noticed.")


def _step(step: RiskAlert) -> Iterator[str]:
    yield f"{STATES[step.state]}: {said(step)}"
    yield evidence_said(step.evidence, len(step.evidence))


def _actions(held: Holdings) -> str:
    rows = ([f"{each.at:%Y-%m-%d %H:%M}", *_action(each)] for each in held.actions)
    headings = ("When (UTC)", "Who", "What", "Note")
    return table("Actions", headings, rows, "No action of anyone is kept.")


def _action(action: CareAction) -> Iterator[str]:
    yield action.actor
    more = (action.outcome, action.mark, action.assignee and f"to {action.assignee}")
    yield ": ".join([action.action.replace("_", " "), ", ".join(str(each).replace("_", " ") for each in more if each)])
    yield action.note or ""


def _letters(held: Holdings) -> str:
    rows = ((f"{each.at:%Y-%m-%d %H:%M}", each.stage, each.detail) for each in held.records[DEAD.name])
    return table("Failures", ("When (UTC)", "Where", "Why"), rows, "There are none.")


def _retention() -> str:
    rows = [(topic.name, topic.meaning, topic.how_long) for topic in TOPICS]
    kept = table("Records", ("Records", "What they are", "Kept for about"), rows, "")
    return kept + paragraph(
        "What is stored at this moment, and what the database has, is kept for about 400 days. Whoever runs the "
        "service may have chosen other times."
    )
