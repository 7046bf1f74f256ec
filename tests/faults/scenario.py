"""Scenarios under fire, as data: what is uploaded, what breaks, and what comes back.

A scenario is a list of steps that `World.play` takes one after the other. Uploads only queue memos, so that whatever
breaks next breaks while they flow. `told` makes a long scenario of a seed; `without_faults` is the same scenario on a
day when nothing breaks, which says what must come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Upload:
    """So many of the next memos."""

    memos: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Wait until everything uploaded so far has gone all the way. Whatever is down at this step stays down."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A moment passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""

    role: str


@dataclass(frozen=True, slots=True)
class Start:
    """A role is started: one that was killed, or one more."""

    role: str


@dataclass(frozen=True, slots=True)
class Leave:
    """SIGTERM: the role must end in good order within its deadline."""

    role: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """SIGSTOP."""

    role: str


@dataclass(frozen=True, slots=True)
class Thaw:
    """SIGCONT."""

    role: str


@dataclass(frozen=True, slots=True)
class StopBroker:
    """The broker is stopped in good order."""


@dataclass(frozen=True, slots=True)
class KillBroker:
    """The broker is killed."""


@dataclass(frozen=True, slots=True)
class StartBroker:
    """The broker comes back with its data."""


@dataclass(frozen=True, slots=True)
class KillRedis:
    """Redis is killed."""


@dataclass(frozen=True, slots=True)
class StartRedis:
    """Redis comes back with its data."""


@dataclass(frozen=True, slots=True)
class StartEmptyRedis:
    """Redis comes back and knows nothing."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes a link any more, and nobody is told: connections stay open and silent."""

    link: str


@dataclass(frozen=True, slots=True)
class Break:
    """All connections of a link are reset, once; new ones are taken."""

    link: str


@dataclass(frozen=True, slots=True)
class Mend:
    """A cut link carries again, also what waited."""

    link: str


@dataclass(frozen=True, slots=True)
class TakeAudioAway:
    """The folder of the audio is not there any more."""


@dataclass(frozen=True, slots=True)
class BringAudioBack:
    """The folder of the audio is there again."""


@dataclass(frozen=True, slots=True)
class SetClock:
    """The wall clock of a role jumps to so many seconds beside the true time; 0 is right."""

    role: str
    seconds: float


Step: TypeAlias = (
    Upload | Settled | Pause | Kill | Start | Leave | Freeze | Thaw | StopBroker | KillBroker | StartBroker
    | KillRedis | StartRedis | StartEmptyRedis | Cut | Break | Mend | TakeAudioAway | BringAudioBack | SetClock
)  # fmt: skip
Scenario: TypeAlias = Sequence[Step]

KINDS = ("acoustic", "embedding", "agents")
ROLES = tuple(f"{kind}-{number}" for kind in KINDS for number in range(2))
"""Two processes of each role run all the time; a `-2` joins and leaves."""
ALONE = tuple(f"{kind}-0" for kind in KINDS)
"""What a day takes on which nobody dies."""
LINKS = (*KINDS, "redis")
"""Between the roles of a kind and the broker, and between all and Redis."""


def without_faults(scenario: Scenario) -> list[Step]:
    """The same memos on a quiet day."""
    return [step for step in scenario if isinstance(step, Upload | Settled)]


def counted(scenario: Scenario) -> dict[str, int]:
    """How often each step occurs, by name."""
    return {
        kind.__name__: sum(isinstance(s, kind) for s in scenario) for kind in dict.fromkeys(type(s) for s in scenario)
    }


def in_words(step: Step) -> str:
    """A step as a log line says it."""
    values = ", ".join(str(getattr(step, field.name)) for field in fields(step))
    return f"{type(step).__name__}({values})"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what a scenario tells. calm: memos before anyone changes; waves: batches that wait for each other."""

    calm: int
    waves: int
    wave: int
    kills: int = 0
    freezes: int = 0
    joins: int = 0
    broker_restarts: int = 0
    redis_restarts: int = 0
    cuts: int = 0
    breaks: int = 0
    outages: int = 0
    clocks: int = 0


def told(plan: Plan, session_s: float, rng: Random) -> list[Step]:
    """A scenario by chance: the faults of the plan in any order, spread over its memos.

    Faults do not wait for each other: the next may strike before the last was overcome. Each is over before the next
    wave is waited for.
    """
    faults = _faults(plan, session_s, rng)
    rng.shuffle(faults)
    first, *slots = _slots(plan)
    shares: list[list[list[Step]]] = [[] for _ in slots]
    for number, fault in enumerate(faults):
        shares[number * len(slots) // len(faults)].append(fault)
    scenario: list[Step] = [Upload(first[0]), Settled()]
    for (memos, waits), share in zip(slots, shares, strict=True):
        scenario.append(Upload(memos))
        for fault in share:
            scenario += [Pause(round(rng.uniform(0, 1), 2)), *fault]
        if waits:
            scenario.append(Settled())
    return scenario


def _slots(plan: Plan) -> list[tuple[int, bool]]:
    """Memos to upload, and whether to wait for them: one wave until all run, ten parts of calm memos, the waves."""
    calm = plan.calm - plan.wave
    parts = [calm * (i + 1) // 10 - calm * i // 10 for i in range(10)]
    return [
        (plan.wave, True),
        *((part, False) for part in parts[:-1]),
        (parts[-1], True),
        *((plan.wave, True),) * plan.waves,
    ]


def _faults(plan: Plan, session_s: float, rng: Random) -> list[list[Step]]:
    victims = _by_turns(ROLES, plan.kills, rng)
    links = _by_turns(LINKS, plan.cuts + plan.breaks, rng)
    down: list[Step] = [KillBroker(), StopBroker()]
    jumps = (7200.0, -7200.0, 14 * 86400.0, -14 * 86400.0)
    faults: list[list[Step]] = [[Kill(role), _moment(rng), Start(role)] for role in victims]
    faults += [[Freeze(r), Pause(session_s * 1.5), Thaw(r)] for r in _by_turns(ROLES, plan.freezes, rng)]
    joining = [f"{kind}-2" for kind in _by_turns(KINDS, plan.joins, rng)]
    faults += [[Start(role), Pause(session_s * 1.5), Leave(role)] for role in joining]
    faults += [[down[n % 2], _moment(rng), StartBroker()] for n in range(plan.broker_restarts)]
    faults += [[KillRedis(), _moment(rng), StartRedis()] for _ in range(plan.redis_restarts)]
    faults += [[Cut(link), Pause(session_s * 1.2), Mend(link)] for link in links[: plan.cuts]]
    faults += [[Break(link)] for link in links[plan.cuts :]]
    faults += [[TakeAudioAway(), Pause(3), BringAudioBack()] for _ in range(plan.outages)]
    for number, role in enumerate(_by_turns(ROLES, plan.clocks, rng)):
        faults.append([SetClock(role, jumps[number % len(jumps)]), Pause(3), SetClock(role, 0)])
    return faults


def _moment(rng: Random) -> Pause:
    return Pause(round(rng.uniform(0, 2), 2))


def _by_turns(names: Sequence[str], count: int, rng: Random) -> list[str]:
    """`count` names, each about as often as the others, in any order."""
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += rng.sample(names, len(names))
    return chosen[:count]
