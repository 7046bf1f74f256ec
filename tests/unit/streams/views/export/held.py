"""What is held of somebody whose pseudonym, memos and notes are chosen by an attacker."""

from dataclasses import replace
from typing import Any

from schemas import topics
from schemas.codec import Codec
from schemas.events import Evidence, Modality
from schemas.state_keys import BASELINE, DRIFT, MUTES
from streams.drift.mutes import Mute, Scope, dump
from streams.drift.user_state import follow
from streams.fusion.baseline import BaselineState
from streams.history.person import ScoreRow
from streams.views.export.holdings import History, Holdings
from streams.views.user import Known, view_of
from tests.unit.schemas.records import ALERT, AT, CARE, CONSENT, DEAD, FEATURES, MARK, SCORED, UPLOADED
from tests.unit.streams.scores import RULES
from workers.scoring.personal_baseline import PersonalNormal

CODEC = Codec()
USER = "../../<script>alert(1)</script>"
MEMO = "=HYPERLINK(1)"
NOTE = "@SUM(A1)\n</td><img src=x onerror=alert(1)>\u202e\x1b[2J"
OTHER = "somebody-else"


def known(**state: bytes) -> Known:
    """What Redis has, beside the records of the topics."""
    mutes = [Mute(scope, name, AT, AT.replace(year=2100), NOTE[:20]) for scope, name in muted()]
    drift = follow(None, [replace(SCORED, user_id=USER)], RULES)[0]
    normal = PersonalNormal.empty(3)
    baseline = BaselineState("b", normal).to_bytes()
    stored = {DRIFT.key(USER): drift, MUTES.key(): dump(mutes, AT), BASELINE.key(USER): baseline}
    return Known(records()["risk.scored"], records()["memos.uploaded"], records()["memos.dead"], {**stored, **state})


def muted() -> list[tuple[Scope, str]]:
    return [(Scope.USER, USER), (Scope.USER, OTHER), (Scope.COHORT, "../")]


def records() -> dict[str, list[Any]]:
    """One record and more on each topic."""
    evidence = (*SCORED.evidence, Evidence("-1+foreign", 2.0, 1.0))
    score = replace(SCORED, user_id=USER, memo_id=MEMO, evidence=evidence)
    upload = replace(UPLOADED, user_id=USER, memo_id=MEMO, audio_uri="javascript:alert(1)")
    inner = replace(FEATURES, user_id=USER, memo_id="failed")
    letter = replace(DEAD, key=USER.encode(), topic="memos.features", value=CODEC.encode(inner))
    embedding = replace(inner, modality=Modality.EMBEDDING, names=(), undefined=())
    return {
        "memos.uploaded": [upload],
        "memos.features": [replace(FEATURES, user_id=USER), embedding],
        "risk.scored": [replace(score, probability=0.9), score],
        "risk.alerts": [replace(ALERT, user_id=USER)],
        "memos.dead": [letter, replace(DEAD, key=USER.encode(), dead_letter_id="dead-2")],
        "care.consents": [replace(CONSENT, user_id=USER, reason=NOTE)],
        "care.actions": [replace(CARE, user_id=USER, note=NOTE), replace(MARK, user_id=USER)],
    }


def history() -> History:
    """An older score, which the topic has forgotten, and one of the topic's."""
    names = ScoreRow.__dataclass_fields__
    old = replace(SCORED, user_id=USER, memo_id="old", scored_at=AT)
    rows = [ScoreRow(**{name: getattr(score, name) for name in names}) for score in (old, records()["risk.scored"][0])]
    return History(None, tuple(rows), (), (records()["care.actions"][0],), ())


def held(**changes: Any) -> Holdings:
    """All of it."""
    found = known()
    view = view_of(USER, found, (Modality.ACOUSTIC, Modality.EMBEDDING), RULES, CODEC, AT)
    return replace(Holdings(USER, AT, records(), found, view, history()), **changes)


def nothing() -> Holdings:
    """Of somebody who was never heard, in a cohort that is muted."""
    found = Known(state={MUTES.key(): dump([Mute(Scope.COHORT, "no", AT, AT.replace(year=2100))], AT)})
    view = view_of("nobody", found, (), RULES, CODEC, AT)
    empty: dict[str, list[Any]] = {topic.name: [] for topic in topics.TOPICS}
    return Holdings("nobody", AT, empty, found, view, None)
