"""One user, put together from their records and their state."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from schemas import topics
from schemas.codec import Codec
from schemas.events import AlertKind, Band, MemoUploaded, Modality, RiskScored
from schemas.state_keys import BASELINE, DRIFT, JOIN, MUTES
from streams.drift.mutes import Mute, Scope, dump
from streams.drift.user_state import follow
from streams.fusion.baseline import BaselineState
from streams.fusion.join import Join
from streams.views.user import Known, UserView, state_sentence, view_of
from tests.unit.schemas.records import DEAD
from tests.unit.streams.scores import RULES, START, calm, daily, scored
from workers.scoring.personal_baseline import PersonalNormal

CODEC = Codec()
BOTH = (Modality.ACOUSTIC, Modality.EMBEDDING)
NOW = START + timedelta(days=200)
UPLOAD = MemoUploaded("up", "u", NOW - timedelta(hours=1), NOW, "memory://a")


def view(known: Known) -> UserView:
    return view_of("u", known, BOTH, RULES, CODEC, NOW)


def muted(*mutes: Mute) -> Known:
    return Known(state={MUTES.key(): dump(mutes, NOW)})


def drift_of(scores: Sequence[RiskScored]) -> Known:
    return Known(scores=scores, state={DRIFT.key("u"): follow(None, scores, RULES)[0]})


def test_without_a_trace_a_user_is_unknown_also_when_muted() -> None:
    mute = Mute(Scope.COHORT, "u", START, NOW + timedelta(days=1))
    seen = view(muted(mute))
    assert not seen.known
    assert seen.mutes == (mute,)


def test_a_calm_user_has_a_threshold_and_no_episode() -> None:
    seen = view(drift_of(daily(calm(30))))
    assert seen.drift is not None
    assert (seen.drift.days, seen.drift.episodes) == (30, ())
    assert 0 <= seen.drift.statistic < (seen.drift.threshold or 0)
    assert seen.drift.latest_memo_at == seen.last_memo_at == START + timedelta(days=29)


def test_the_state_in_a_line_speaks_of_probabilities() -> None:
    told = state_sentence(view(drift_of(daily([0.0] * 30))).drift)
    assert "30 days of baseline, mean 0.50" in told
    assert "last 7 days 0.50, last 30 days 0.50" in told
    assert told.endswith("no open episode")
    assert state_sentence(None) == "nothing stored"
    silent = state_sentence(view(drift_of(daily([None] * 3))).drift)
    assert "last 7 days none" in silent
    assert "threshold none yet" in silent


def test_a_young_baseline_has_no_threshold_yet() -> None:
    seen = view(drift_of(daily(calm(3))))
    assert seen.drift is not None
    assert seen.drift.threshold is None


def test_an_open_episode_says_since_when() -> None:
    changed = [*calm(40), *(value + 2 for value in calm(12, seed=9))]
    scores = [replace(score, band=Band.HIGH if day >= 40 else Band.LOW) for day, score in enumerate(daily(changed))]
    seen = view(drift_of(scores))
    assert seen.drift is not None
    drift, level = seen.drift.episodes
    assert (drift.kind, level.kind) == (AlertKind.DRIFT, AlertKind.LEVEL)
    for episode in (drift, level):
        assert episode.changed_since is not None
        assert START + timedelta(days=38) <= episode.changed_since <= episode.opened_at <= START + timedelta(days=52)
    assert drift.dedup_key != level.dedup_key


def test_only_mutes_that_apply_now_are_shown() -> None:
    applying = Mute(Scope.USER, "u", START, NOW + timedelta(days=1))
    others = [replace(applying, name="v"), replace(applying, until=NOW - timedelta(days=1))]
    assert view(muted(*others, applying)).mutes == (applying,)


def test_the_baseline_counts_its_memos() -> None:
    normal = PersonalNormal(*np.array([[4, 7], [0, 0], [1, 1]], np.float32))
    seen = view(Known(state={BASELINE.key("u"): BaselineState("bundle-1", normal).to_bytes()}))
    assert seen.baseline is not None
    assert (seen.baseline.memos, seen.baseline.bundle_id) == (7, "bundle-1")


def test_a_memo_without_an_outcome_awaits_what_has_not_come() -> None:
    join = Join("joined", "u", START, START, parts={Modality.ACOUSTIC: b"features"})
    provisional = replace(
        scored(None, 3, memo="given up"), reasons=("missing:embedding",), modalities=(Modality.ACOUSTIC,)
    )
    done = replace(UPLOAD, memo_id=(full := scored(0.0, 1)).memo_id)
    known = Known(
        scores=[provisional, full],
        uploads=[UPLOAD, replace(UPLOAD, memo_id="joined"), done],
        joins={JOIN.key("u", "joined"): join.to_bytes(), JOIN.key("u", "expired"): None},
    )
    awaited = {memo.memo_id: memo for memo in view(known).awaited}
    assert {name: memo.missing for name, memo in awaited.items()} == {
        "up": BOTH,
        "joined": (Modality.EMBEDDING,),
        "given up": (Modality.EMBEDDING,),
    }
    assert [name for name, memo in awaited.items() if memo.provisional] == ["given up"]


def test_dead_letters_are_shown_once_and_are_not_awaited() -> None:
    letters = [
        replace(
            DEAD, dead_letter_id=name, topic=topics.UPLOADED.name, value=CODEC.encode(replace(UPLOAD, memo_id=name))
        )
        for name in ("a", "b", "a")
    ]
    unreadable = replace(DEAD, dead_letter_id="c", topic=topics.UPLOADED.name, value=b"milk")
    known = Known(
        scores=[scored(0.0, 1, memo="b")],
        uploads=[replace(UPLOAD, memo_id="a"), replace(UPLOAD, memo_id="b")],
        letters=[*letters, unreadable],
    )
    seen = view(known)
    assert {letter.dead_letter_id: letter.scored for letter in seen.dead_letters} == {"a": False, "b": True, "c": False}
    assert seen.awaited == ()


def test_damaged_state_is_a_note_and_hides_nothing_else() -> None:
    state = dict.fromkeys((DRIFT.key("u"), BASELINE.key("u"), MUTES.key()), b"damaged")
    seen = view(Known(uploads=[UPLOAD], state=state, joins={JOIN.key("u", "m"): b"damaged"}))
    assert (seen.baseline, seen.drift) == (None, None)
    assert [note.split()[1] for note in seen.notes] == ["join", "baseline", "drift", "mutes"]
    assert seen.last_memo_at == datetime.fromtimestamp(UPLOAD.recorded_at.timestamp(), UTC)


def test_state_of_a_newer_version_is_not_said_to_be_lost() -> None:
    newer = {row.key(*names): bytes([row.version + 1]) for row, names in ((DRIFT, "u"), (BASELINE, "u"), (MUTES, ""))}
    joins = {JOIN.key("u", "m"): bytes([JOIN.version + 1])}
    notes = view(Known(state=newer, joins=joins)).notes
    assert [note.partition("; ")[2] for note in notes] == ["use the version that wrote it"] * 4
