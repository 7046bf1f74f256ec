"""Who is muted, until when, and how many alerts that suppressed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from streams.drift.mutes import (
    Mute,
    Scope,
    active,
    dump,
    ended,
    load,
    muted_by,
    with_mute,
    with_withheld,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
USER = Mute(Scope.USER, "clinic-a/7", NOW, NOW + 7 * DAY, "on holiday")
COHORT = Mute(Scope.COHORT, "clinic-b/", NOW, NOW + DAY)


def test_a_mute_applies_to_its_users_and_its_period() -> None:
    both = [USER, COHORT]
    assert muted_by(both, "clinic-a/7", NOW) == USER
    assert muted_by(both, "clinic-a/71", NOW) is None
    assert muted_by(both, "clinic-b/3", NOW) == COHORT
    assert muted_by(both, "clinic-b/3", NOW + DAY) is None
    assert muted_by(both, "clinic-a/7", NOW - DAY) is None


def test_a_new_mute_replaces_the_one_before() -> None:
    longer = Mute(Scope.USER, "clinic-a/7", NOW + DAY, NOW + 30 * DAY)
    mutes = with_mute([USER], longer)
    assert [mute.until for mute in mutes] == [NOW + DAY, NOW + 30 * DAY]
    assert muted_by(mutes, "clinic-a/7", NOW + 2 * DAY) == longer


def test_a_mute_can_end_early() -> None:
    mutes = ended([USER, COHORT], Scope.USER, "clinic-a/7", NOW + DAY)
    assert muted_by(mutes, "clinic-a/7", NOW + DAY) is None
    assert COHORT in mutes


def test_suppressed_alerts_are_counted() -> None:
    mutes = with_withheld([USER, COHORT], ["clinic-b/3", "clinic-b/4", "somebody"], NOW)
    assert [mute.withheld for mute in mutes] == [0, 2]


def test_mutes_survive_storage_until_ninety_days_after_their_end() -> None:
    assert load(dump([USER, COHORT], NOW)) == [USER, COHORT]
    assert load(dump([USER, COHORT], NOW + 92 * DAY)) == [USER]
    assert load(None) == []


def test_a_mute_without_end_survives_storage() -> None:
    forever = Mute(Scope.USER, "clinic-a/7", NOW, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert load(dump([forever], NOW)) == [forever]


def test_who_muted_survives_storage_and_is_unknown_of_older_versions() -> None:
    by_someone = replace(USER, by="nurse on duty")
    stored = dump([by_someone], NOW)
    assert load(stored) == [by_someone]
    assert load(stored.replace(b', "by": "nurse on duty"', b"")) == [USER]


def test_only_the_mute_of_this_scope_and_name_counts_as_active() -> None:
    mutes = [USER, COHORT]
    assert active(mutes, Scope.USER, "clinic-a/7", NOW) == USER
    assert active(mutes, Scope.COHORT, "clinic-a/7", NOW) is None
    assert active(mutes, Scope.USER, "clinic-b/3", NOW) is None
    assert active(mutes, Scope.COHORT, "clinic-b/", NOW + DAY) is None
