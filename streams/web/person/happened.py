"""What happened to a person apart from their memos, for charts and lists: episodes, context, mutes, bundles. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from schemas.event_enums import CareActionKind, MarkKind
from schemas.events import AlertKind, AlertState, CareAction, Severity
from streams.history.care import Mark
from streams.history.episode import Episode
from streams.web.person.reader import Reader
from streams.web.person.spans import AlertStep, Lane, Span
from streams.web.person.timeline import Timeline

_ = str  # marks messages; they are translated where they are shown

KINDS = {
    AlertKind.DRIFT: _("a change from the own past"),
    AlertKind.LEVEL: _("mostly high scores"),
    AlertKind.SILENCE: _("silence"),
    AlertKind.UNKNOWN: _("a rule of a newer version"),
}
STATES = {AlertState.RAISED: _("raised"), AlertState.ESCALATED: _("escalated"), AlertState.RESOLVED: _("resolved")}
MARKS = {
    MarkKind.MEDICATION: _("medication"),
    MarkKind.ILLNESS: _("illness"),
    MarkKind.TRAVEL: _("travel"),
    MarkKind.NEW_PHONE: _("new phone"),
    MarkKind.OTHER: _("something else"),
    MarkKind.UNKNOWN: _("a mark of a newer version"),
}
SHAPES = {
    AlertState.RAISED: "inverted_triangle",
    AlertState.ESCALATED: "diamond",
    AlertState.RESOLVED: "square",
}


def spans(
    shown: Timeline,
    episodes: Iterable[Episode],
    marks: Iterable[Mark],
    actions: Iterable[CareAction],
    reader: Reader,
) -> tuple[Span, ...]:
    """Everything that has a place in the lanes. actions: of the person, oldest first."""
    return (*_bundles(shown), *mutes(actions, reader), *_marks(marks, reader), *_episodes(episodes, reader))


def steps(episodes: Iterable[Episode], reader: Reader) -> tuple[AlertStep, ...]:
    """The alerts about a change, with the agent's own statistic and threshold; other rules have other units."""
    return tuple(
        AlertStep(
            step.at,
            step.statistic,
            step.threshold,
            SHAPES[step.state],
            reader.translate(STATES[step.state]),
            step.severity is Severity.CRITICAL,
        )
        for episode in episodes
        for step in episode.steps
        # A resolution is of the downward statistic, which the chart does not show.
        if step.kind is AlertKind.DRIFT and step.state is not AlertState.RESOLVED
    )


def mutes(actions: Iterable[CareAction], reader: Reader) -> Iterator[Span]:
    """From when until when alerts were muted: until the end that was said, or until they were unmuted before."""
    muting = [a for a in actions if a.action in (CareActionKind.MUTED, CareActionKind.UNMUTED)]
    for action, after in pairwise([*muting, None]):
        if action is None or action.action is not CareActionKind.MUTED:
            continue
        ends = [end for end in (action.until, None if after is None else after.at) if end is not None]
        yield Span(Lane.MUTE, action.at, min(ends, default=None), action.note or reader.translate(_("alerts muted")))


def _episodes(episodes: Iterable[Episode], reader: Reader) -> Iterator[Span]:
    for episode in episodes:
        label = reader.translate(KINDS[episode.kind])
        critical = episode.severity is Severity.CRITICAL
        yield Span(Lane.EPISODE, episode.opened_at, episode.closed_at, label, strong=critical)


def _marks(marks: Iterable[Mark], reader: Reader) -> Iterator[Span]:
    for mark in marks:
        yield Span(Lane.CONTEXT, mark.since, mark.until, reader.translate(MARKS[mark.kind]), strong=mark.excluded)


def _bundles(shown: Timeline) -> Iterator[Span]:
    """The bundle of every stretch of time."""
    if not shown.memos:
        return
    starts: Sequence[tuple[datetime, str]] = [
        (shown.since, shown.bundles[0].before if shown.bundles else shown.memos[-1].score.bundle_id),
        *((change.at, change.after) for change in shown.bundles),
    ]
    for (since, bundle), after in pairwise([*starts, None]):  # type: ignore[misc]
        yield Span(Lane.BUNDLE, since, None if after is None else after[0], bundle)
