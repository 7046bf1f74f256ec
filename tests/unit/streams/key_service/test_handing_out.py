"""The grant of a caller, before the key directory is asked."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.key_grants import KeyGrant
from schemas.key_purposes import LASTING, Purpose, epoch_of
from streams.key_service.handing_out import HandingOut, Refused, holder_of
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.person_keys import KEY_BYTES, PersonState
from workers.privacy.sources.messages import Asked, Holder, Users

NOW = datetime(2026, 11, 30, tzinfo=UTC)
MONTH = epoch_of(NOW)
GRANTS = {
    "reader": KeyGrant(frozenset({Purpose.ALERTS})),
    "finder": KeyGrant(frozenset({Purpose.ALERTS}), finds=True),
    "writer": KeyGrant(frozenset({Purpose.ALERTS, Purpose.VALUE}), enrols=True, finds=True),
}
ANN = Asked((Purpose.ALERTS,), MONTH, users=["ann"], enrol=True)


@pytest.fixture
def out(tmp_path: Path) -> Iterator[HandingOut]:
    directory = KeyDirectory.open(sealing(tmp_path))
    yield HandingOut(directory, GRANTS, lambda: NOW)
    directory.close()


def test_each_right_is_one_of_its_own(out: HandingOut) -> None:
    for caller in ("reader", "finder"):
        with pytest.raises(Refused, match="may not enrol"):
            out.keys(caller, ANN)
    with pytest.raises(Refused, match="may not ask by pseudonym"):
        out.keys("reader", Asked((Purpose.ALERTS,), MONTH, users=["ann"]))
    with pytest.raises(Refused, match="no keys of value"):
        out.keys("reader", Asked((Purpose.VALUE,), MONTH))
    assert out.keys("finder", Asked((Purpose.ALERTS,), MONTH, users=["ann"])).people == []
    ((subject, user, state),) = out.keys("writer", ANN).people
    assert (user, state) == ("ann", PersonState.ACTIVE)
    found = out.keys("reader", Asked((Purpose.ALERTS,), MONTH, frames=[(subject, MONTH)]))
    assert {epoch: len(key or b"") for _, epoch, key in found.keys} == {MONTH: KEY_BYTES, LASTING: 0}


@pytest.mark.parametrize("month", [1, MONTH - 2, MONTH + 2, 0xFFFF])
def test_months_are_made_about_now_alone(out: HandingOut, month: int) -> None:
    with pytest.raises(Refused, match="compare the clocks"):
        out.keys("writer", Asked((Purpose.ALERTS,), month, users=["ann"], enrol=True))
    assert out.keys("writer", Asked((Purpose.ALERTS,), month, frames=[(bytes(16), MONTH)])).people == []


def test_who_is_not_in_the_table_is_refused_every_call(out: HandingOut) -> None:
    calls = (
        lambda: out.granted("stranger"),
        lambda: out.keys("stranger", ANN),
        lambda: out.erasures("stranger", Users(["ann"])),
        lambda: out.beat("stranger", Holder(bytes(16))),
        lambda: out.dropped("stranger", Holder(bytes(16))),
        lambda: out.left("stranger", Holder(bytes(16))),
    )
    for call in calls:
        with pytest.raises(Refused, match="not in the table"):
            call()


def test_no_caller_speaks_for_a_process_of_another() -> None:
    one = bytes(16)
    assert holder_of("reader", one) == holder_of("reader", one) != holder_of("finder", one)
