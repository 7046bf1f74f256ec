"""Every place where data of a person rests, and what an export has of it: topics, keys in Redis, tables of SQL.

A test fails for a personal topic, key or table that is missing here.
"""

from collections.abc import Mapping

from schemas import topics
from schemas.privacy_marks import Erased

TOPICS = tuple(topic for topic in topics.TOPICS if topic.marks.erased is Erased.KEYS)
"""Topics whose records are about a person; the audit trail is about those who looked."""

STATE: Mapping[str, str] = {
    "drift state": "state.json: now.drift and now.speaking",
    "baseline": "state.json: now.baseline, and each number of it in baseline_numbers",
    "baseline of 0.1": "state.json: as the baseline, for a person who has no newer one",
    "join": "state.json: now.awaited",
    "open joins": "state.json: the memos of now.awaited; when each is given up follows from when it came",
    "silences due": "left out: a time at which Undertone looks next, which follows from now.speaking",
    "mutes": "state.json: mutes, of this person; now.mutes has those of a group that hold for this person",
    "exclusions": "state.json: now.left_out",
    "roster": "left out: bits from which no one's data can be read",
    "quarantine": "left out: damaged values that cannot be read, kept for 30 days",
}
"""By name of the key (`docs/state.md`)."""

TABLES: Mapping[str, str] = {
    "people": "history.json: person",
    "scores": "history.json: scores",
    "alerts": "history.json: steps of episodes",
    "episodes": "history.json: episodes",
    "actions": "history.json: actions, and marks that follow from them",
    "cohort_members": "history.json: cohort, in person",
}
"""By name of the table."""
