"""What a parade did to those who marched beside it: the same memos on a quiet day are the measure. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.judge import Content
from tests.faults.parade.topics import Place, Written
from tests.faults.poisons.poison import Found, Sent

Memo = tuple[str, str]
"""User and memo: no two users share a memo, whatever its id."""
WHEN = {"scored_at"}
"""What may differ between two days."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What is left of a day. peak_mb: resident memory of each role and its children; series: that each exports;
    complaints: about the answers to operators' commands.
    """

    peak_mb: Mapping[str, float]
    series: Mapping[str, int]
    complaints: Sequence[str] = ()


MOST_MB = {"acoustic-0": 4096, "embedding-0": 4096, "agents-0": 2048, "bridge-0": 768}
"""The memory limits of the roles in deploy/k8s."""
MOST_SERIES = 5000
"""Of one process, whatever is in its records."""


@dataclass(frozen=True, slots=True)
class Day:
    """What one parade came to.

    sent: the poisons' records by place; names: of their poisons; posted: ids of the alerts that a receiver got; ended:
    roles that ended by themselves, and their exit codes; good_s: seconds until the last good memo was scored;
    footprint: what it took; behind: groups that did not get past everything.
    """

    written: Written
    sent: Mapping[Place, Sent]
    names: Mapping[Place, str]
    posted: Collection[str]
    ended: Sequence[tuple[str, int]]
    good_s: float
    footprint: Footprint
    behind: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What must be nothing: exits of processes; good memos, alerts and posts that are not as on the quiet day; poisons
    with another outcome than any documented; results that nobody asked for; memory and series
    past their limits, and commands that fail or print what they should not; groups that something holds up.
    """

    exits: Sequence[str] = ()
    wrong: Sequence[str] = ()
    poisons: Sequence[str] = ()
    uninvited: Sequence[str] = ()
    swollen: Sequence[str] = ()
    stuck: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether there is no fault."""
        return not (self.exits or self.wrong or self.poisons or self.uninvited or self.swollen or self.stuck)


def judge(day: Day, quiet: Day, good: Collection[Memo]) -> Verdict:
    """Compare. good: the good memos."""
    poisoned = {sent.memo for sent in day.sent.values()}
    found = outcomes(day.written, day.sent)
    return Verdict(
        exits=[f"{role} ended with {code}" for role, code in day.ended],
        wrong=[
            *_scores_apart(day, quiet, good),
            *_alerts_apart(day, quiet, poisoned),
            *_posts_apart(day, quiet),
            *_shared(day),
        ],
        poisons=[
            f"{day.names[place]}: {sent.outcomes} expected, {found[place]} found"
            for place, sent in day.sent.items()
            if not any(outcome.matches(found[place]) for outcome in sent.outcomes)
        ],
        uninvited=[*_uninvited_scores(day, good, poisoned), *_uninvited_letters(day)],
        swollen=_swollen(day.footprint),
        stuck=day.behind,
    )


def _swollen(footprint: Footprint) -> list[str]:
    peaks = ((role, mb) for role, mb in footprint.peak_mb.items() if mb > MOST_MB[role])
    many = ((role, series) for role, series in footprint.series.items() if series > MOST_SERIES)
    return [
        *(f"{role} took {mb:.0f} MB" for role, mb in peaks),
        *(f"{role} exports {series} series" for role, series in many),
        *footprint.complaints,
    ]


def outcomes(written: Written, sent: Mapping[Place, Sent]) -> dict[Place, Found]:
    """What every record of a poison came to so far."""
    letters: dict[Place, dict[str, str]] = defaultdict(dict)
    for letter in written.letters:
        letters[letter["topic"], letter["partition"], letter["offset"]][letter["dead_letter_id"]] = letter["reason"]
    scores: dict[Memo, set[str]] = defaultdict(set)
    for score in written.scores:
        scores[score["user_id"], score["memo_id"]].add(score["score_id"])
    alerts: dict[Memo, set[str]] = defaultdict(set)
    for alert in written.alerts:
        alerts[alert["user_id"], alert["memo_id"]].add(alert["alert_id"])
    return {
        place: Found(tuple(letters[place].values()), tuple(scores[each.memo]), tuple(alerts[each.memo]))
        for place, each in sent.items()
    }


def _scores_apart(day: Day, quiet: Day, good: Collection[Memo]) -> list[str]:
    ours, theirs = (_contents(each.written.scores, good) for each in (day, quiet))
    apart = (memo for memo in good if ours[memo] != theirs[memo] or len(theirs[memo]) != 1)
    return [f"score of {memo}: {ours[memo]} beside {theirs[memo]}" for memo in apart]


def _shared(day: Day) -> list[str]:
    """Ids of scores that more than one memo has."""
    memos: dict[str, set[Memo]] = defaultdict(set)
    for score in day.written.scores:
        memos[score["score_id"]].add((score["user_id"], score["memo_id"]))
    return [f"score {name} is of {len(of)} memos" for name, of in memos.items() if len(of) > 1]


def _contents(scores: Sequence[Content], good: Collection[Memo]) -> dict[Memo, list[Content]]:
    """The different scores of every good memo."""
    found: dict[Memo, list[Content]] = {memo: [] for memo in good}
    for score in scores:
        memo = (score["user_id"], score["memo_id"])
        content = {name: value for name, value in score.items() if name not in WHEN}
        if memo in found and content not in found[memo]:
            found[memo].append(content)
    return found


def _alerts_apart(day: Day, quiet: Day, poisoned: Collection[Memo]) -> list[str]:
    users = {user for user, _ in poisoned}
    ours, theirs = (
        {a["alert_id"]: a for a in each.written.alerts if a["user_id"] not in users} for each in (day, quiet)
    )
    return [f"alert {name}: {ours.get(name)} beside {theirs.get(name)}" for name in _apart(ours, theirs)]


def _apart(ours: Mapping[str, Content], theirs: Mapping[str, Content]) -> list[str]:
    return [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]


def _posts_apart(day: Day, quiet: Day) -> list[str]:
    return [f"alert {name} was not posted" for name in set(quiet.posted) - set(day.posted)]


def _uninvited_scores(day: Day, good: Collection[Memo], poisoned: Collection[Memo]) -> list[str]:
    asked = {*good, *poisoned}
    memos = {(score["user_id"], score["memo_id"]) for score in day.written.scores}
    return [f"score of {memo}" for memo in memos - asked]


def _uninvited_letters(day: Day) -> list[str]:
    found = ((each["topic"], each["partition"], each["offset"], each["reason"]) for each in day.written.letters)
    return [f"dead letter of {place}" for place in found if place[:3] not in day.sent]
