"""Who may read now, and who is given up: outages give up no one, and one object holds no one up for ever."""

import pytest

from schemas.errors import Poison, Transient
from workers.service.health import Health
from workers.storage.attempts import EVIDENCE, FIRST_RETRIES, QUIET_S, SILENT_AFTER, Attempts
from workers.storage.outcomes import Busy, Denied, denied, missing
from workers.storage.uri import Place

HERE, THERE = Place("https", ("here",)), Place("s3", ("there",))
GIVE_UP_S, OUTAGE_S = 900.0, 86400.0
BROKEN = Transient("audio storage returned HTTP 500")


class World:
    """Attempts, a clock and a health of their own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.health = Health()
        self.attempts = Attempts(GIVE_UP_S, OUTAGE_S, lambda: self.now, self.health)

    def read(self, name: str, error: Exception | None = None, at: Place = HERE) -> None:
        """One attempt that ends so."""
        with self.attempts.of(at, Place(at.scheme, (*at.parts, name))):
            if error is not None:
                raise error

    def fails(self, name: str, error: Exception = BROKEN, at: Place = HERE) -> None:
        with pytest.raises(type(error)):
            self.read(name, error, at)

    def deliver(self, count: int = EVIDENCE, at: Place = HERE) -> None:
        for number in range(count):
            self.read(f"good {number}", at=at)

    def is_silent(self, at: Place = HERE) -> None:
        for number in range(SILENT_AFTER):
            self.fails(f"first {number}", at=at)

    @property
    def lacking(self) -> dict[str, str]:
        return self.health.lacking()


@pytest.fixture
def world() -> World:
    return World()


def test_an_outage_of_all_storage_gives_up_no_object_however_long_it_lasts(world: World) -> None:
    world.deliver()
    for _ in range(10 * 24 * 6):
        for number in range(8):
            with pytest.raises(Transient):
                world.read(f"memo {number}", BROKEN)
        world.now += 600
    world.deliver()
    world.fails("memo 0")
    world.read("memo 0")
    assert world.lacking == {}


def test_an_object_that_fails_while_its_storage_delivers_others_is_given_up(world: World) -> None:
    world.fails("memo")
    for _ in range(8):
        world.deliver(2)
        world.now += GIVE_UP_S / 10
        world.fails("memo")
    world.now += GIVE_UP_S
    with pytest.raises(Poison, match="while other objects were delivered: audio storage returned HTTP 500") as given_up:
        world.read("memo", BROKEN)
    assert given_up.value.reason == "audio:unavailable"


def test_a_denied_object_is_given_up_as_forbidden(world: World) -> None:
    world.fails("memo", denied("HTTP 403"))
    world.deliver()
    world.now += GIVE_UP_S
    with pytest.raises(Poison) as given_up:
        world.read("memo", denied("HTTP 403"))
    assert given_up.value.reason == "audio:forbidden"


@pytest.mark.parametrize(("delivered", "seconds"), [(EVIDENCE - 1, 10 * OUTAGE_S), (10 * EVIDENCE, GIVE_UP_S - 1)])
def test_without_evidence_or_before_its_time_nothing_is_given_up(world: World, delivered: int, seconds: float) -> None:
    world.fails("memo")
    world.deliver(delivered)
    world.now += seconds
    world.fails("memo")


def test_the_time_of_an_outage_does_not_count_against_an_object(world: World) -> None:
    world.deliver()
    world.is_silent()
    world.now += 10 * GIVE_UP_S
    world.deliver()
    world.fails("first 0")
    world.now += GIVE_UP_S
    world.deliver()
    with pytest.raises(Poison):
        world.read("first 0", BROKEN)


def test_a_storage_that_delivers_nothing_while_others_do_is_given_up_after_a_day(world: World) -> None:
    world.is_silent()
    world.deliver(100, at=THERE)
    world.now += OUTAGE_S - 1
    world.fails("first 0")
    world.now += 1
    with pytest.raises(Poison) as given_up:
        world.read("first 0", BROKEN)
    assert given_up.value.reason == "audio:unavailable"


def test_objects_that_stall_take_two_turns_at_most_and_new_ones_need_none(world: World) -> None:
    world.deliver()
    names = [f"stalling {number}" for number in range(6)]
    for name in names:
        world.fails(name)
        world.deliver(1)
        for _ in range(FIRST_RETRIES - 1):
            world.fails(name)
    for name in names[3:]:
        world.fails(name)
    stalled = [world.attempts.of(HERE, Place("https", ("here", name))) for name in (names[0], names[3])]
    for each in stalled:
        each.__enter__()
    for name in names[1:3] + names[4:]:
        with pytest.raises(Transient, match="waiting for the next attempt"):
            world.read(name)
    world.deliver()
    for each in stalled:
        each.__exit__(None, None, None)
    for name in names[1:3]:
        world.read(name)


def test_a_silent_storage_is_asked_by_one_new_object_at_a_time_and_leaves_the_others_alone(world: World) -> None:
    world.is_silent()
    asking = world.attempts.of(HERE, Place("https", ("here", "asking")))
    asking.__enter__()
    with pytest.raises(Transient, match="waiting for the next attempt: audio storage returned HTTP 500"):
        world.read("new")
    world.deliver(at=THERE)
    asking.__exit__(None, None, None)
    for name in ("new", "first 0", "another"):
        world.read(name)


def test_a_storage_that_asks_for_time_gets_it_once_it_is_silent(world: World) -> None:
    world.fails("memo", Busy("audio storage returned HTTP 429", 30.0))
    world.deliver(1)
    with pytest.raises(Transient, match="waiting"):
        world.read("memo")
    for number in range(SILENT_AFTER):
        world.fails(f"other {number}", Busy("audio storage returned HTTP 503", 30.0))
    with pytest.raises(Transient, match="waiting"):
        world.read("new")
    world.now += 30.0
    for name in ("new", "memo"):
        world.read(name)


def test_an_object_that_does_not_exist_is_an_answer(world: World) -> None:
    world.is_silent()
    world.fails("nothing", missing())
    world.deliver(1)
    world.fails("nothing", missing())
    assert world.lacking == {}


def test_health_names_a_storage_that_fails_until_it_delivers(world: World) -> None:
    world.fails("memo", denied("HTTP 403"))
    assert world.lacking == {"storage": str(denied("HTTP 403"))}, "it has delivered nothing yet"
    world.deliver(1)
    assert world.lacking == {}
    world.fails("memo")
    assert world.lacking == {}, "it delivers others"
    world.now += QUIET_S + 1
    world.fails("memo")
    assert world.lacking == {"storage": str(BROKEN)}
    world.deliver(1, at=THERE)
    assert world.lacking == {"storage": str(BROKEN)}, "of another storage"
    world.deliver(1)
    assert world.lacking == {}


def test_a_defect_frees_its_turn(world: World) -> None:
    world.fails("memo")
    for _ in range(2):
        world.fails("memo", ValueError("a defect"))


def test_a_denial_stays_what_it_is(world: World) -> None:
    with pytest.raises(Denied):
        world.read("memo", denied())
