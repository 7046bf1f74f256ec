"""Messages of the key server: what was said comes back, and nothing else is understood."""

import pytest
from msgspec import Struct

from schemas.key_purposes import LASTING, Purpose
from workers.privacy.clear_records import NEVER, NOW, Since
from workers.privacy.person_keys import ERASED, PersonState, Subject
from workers.privacy.sources.lookup import Found, Lookup
from workers.privacy.sources.messages import (
    MET,
    PEOPLE,
    Answered,
    Asked,
    Holder,
    NotUnderstood,
    Users,
    decoded,
    encoded,
    fitting,
    places,
)

ANNA, BEN = b"a" * 16, b"b" * 16


@pytest.mark.parametrize("since", [NOW, NEVER, {"anna": 1.5}])
def test_a_look_up_is_the_same_on_both_sides(since: Since) -> None:
    lookup = Lookup(
        323, frozenset({"anna"}), frozenset({(BEN, 322)}), True, since, {"anna": ANNA}, frozenset({(ANNA, 0)})
    )
    assert decoded(encoded(Asked.of(lookup, [Purpose.ALERTS])), Asked).lookup() == lookup


def test_an_answer_has_the_keys_of_the_purposes_that_were_asked_for() -> None:
    people = {ANNA: ("anna", Subject(ANNA, PersonState.ACTIVE)), BEN: ("", Subject(BEN, PersonState.ERASED))}
    found = Found(people, {(ANNA, LASTING): b"L", (ANNA, 323): b"M", (BEN, 323): ERASED}, 7)
    purposes = (Purpose.SCORES, Purpose.ALERTS, Purpose.STATE)
    answer = Answered.of(found, purposes, lambda key, epoch, purpose: key + purpose.encode())
    assert decoded(encoded(answer), Answered).found() == Found(
        people, {(ANNA, LASTING): b"Lstate", (ANNA, 323): b"MalertsMscores", (BEN, 323): ERASED}, 7
    )


def test_every_key_is_found_where_it_was_put() -> None:
    for epoch in (LASTING, 323):
        fit = fitting(Purpose, epoch)
        cuts = places(fit)
        row = b"".join(bytes([number]) * (cuts[each].stop - cuts[each].start) for number, each in enumerate(fit))
        assert all(set(row[cuts[each]]) == {number} for number, each in enumerate(fit))
        assert len(row) == cuts[fit[-1]].stop


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Asked),
        (b"\xff\xfe", Asked),
        (b"[" * 100_000, Asked),
        (b"null", Holder),
        (b'{"holder":"AAAA"}', Holder),
        (b'{"holder":"' + b"A" * 21 + b'A==","more":1}', Holder),
        (b'{"users":[""]}', Users),
        (b'{"users":["' + b"a" * 257 + b'"]}', Users),
        (b'{"users":[1]}', Users),
        (encoded(Users(["a"] * (PEOPLE + 1))), Users),
        (encoded(Asked((), 323, met=[(ANNA, 0)] * (MET + 1))), Asked),
        (encoded(Asked((), 0)), Asked),
        (encoded(Asked((), 323, frames=[(b"short", 0)])), Asked),
        (encoded(Asked((), 323, frames=[(ANNA, 65536)])), Asked),
        (b'{"purposes":["everything"],"month":323}', Asked),
        (b'{"purposes":[],"month":323,"since":"then"}', Asked),
    ],
)
def test_anything_else_is_not_understood(data: bytes, kind: type[Struct]) -> None:
    with pytest.raises(NotUnderstood):
        decoded(data, kind)
