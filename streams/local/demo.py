"""The demo: memos of simulated users through the whole system, for weeks; two of the users change.

All of it is the production path: the memos are audio files, submitted as events over a Kafka connection, processed by
the real workers and agents. Only the users are simulated.
"""

import asyncio
import io
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import soundfile

from schemas import topics
from schemas.codec import Codec
from schemas.events import AlertState, DeadLetter, MemoUploaded, RiskAlert, RiskScored
from schemas.ids import memo_id
from schemas.pipeline import AGENTS_GROUP, feature_stages
from schemas.settings import Settings
from streams.local.submit import Submitter
from streams.local.system import System
from streams.views.marks import Mark, mark_of, mark_of_letter
from streams.views.outcomes import recorded_memo
from workers.audio.memo import SAMPLING_RATE
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import follow
from workers.simulation.cohort import ScriptedUser, cohort, sound_of

SEED = 1
USERS = 6
DAYS = 49
BROKEN = b"This is a shopping list, not a recording.\n"
"""The one memo that becomes a dead letter."""
SHOW_EVERY_S = 0.4
_CODEC = Codec()


@dataclass(slots=True)
class DemoRun:
    """The results so far, deduplicated by id."""

    users: tuple[ScriptedUser, ...]
    submitted: int = 0
    extracted: dict[str, int] = field(default_factory=dict)
    """Memos that each feature worker has committed, by stage; empty before the broker runs."""
    scores: dict[str, RiskScored] = field(default_factory=dict)
    alerts: dict[str, RiskAlert] = field(default_factory=dict)
    dead: dict[str, DeadLetter] = field(default_factory=dict)

    @property
    def memos(self) -> int:
        """Memos of the script, the broken one included."""
        return sum(len(user.memos) for user in self.users) + 1

    def note(self, record: Any) -> None:
        """Add a result."""
        if isinstance(record, RiskScored):
            self.scores[record.score_id] = record
        elif isinstance(record, RiskAlert):
            self.alerts[record.alert_id] = record
        else:
            self.dead[record.dead_letter_id] = record

    def activity(self) -> str:
        """What the run does now, or what it waits for while nothing is scored yet."""
        if not self.extracted:
            return "starting the embedded broker, the store, workers and agents"
        starting = [name for name, memos in self.extracted.items() if not memos]
        if starting and not self.scores:
            return f"waiting for the first features of: {', '.join(starting)} (the worker starts and loads its model)"
        if not self.scores:
            return "waiting for the first score (the agents start and load the bundle)"
        done = ", ".join(f"{name} {memos}" for name, memos in self.extracted.items())
        return f"memos extracted: {done}"

    def steps(self, state: AlertState) -> int:
        """Alerts in this state."""
        return sum(alert.state is state for alert in self.alerts.values())

    def marks(self) -> dict[str, list[Mark]]:
        """Every memo with an outcome, by user: those that became dead letters too."""
        found: dict[str, list[Mark]] = {user.user_id: [] for user in self.users}
        for score in self.scores.values():
            found.setdefault(score.user_id, []).append(mark_of(score))
        for letter in self.dead.values():
            if (memo := recorded_memo(letter, _CODEC)) is not None:
                found.setdefault(memo.user_id, []).append(mark_of_letter(memo, letter))
        return found

    def heading(self) -> str:
        """What the plot shows, and of which model."""
        bundles = sorted({score.bundle_id for score in self.scores.values()})
        return f"Simulated users, scored by {', '.join(bundles) or 'no model'}: a compass, never a diagnosis"

    def summary(self, seconds: float) -> str:
        """The demo's last line."""
        return (
            f"demo: {self.memos} memos, {len(self.scores)} scored, {len(self.alerts)} alerts "
            f"({self.steps(AlertState.RAISED)} raised, {self.steps(AlertState.RESOLVED)} resolved), "
            f"{len(self.dead)} dead letters, {seconds:.0f} s"
        )


def new_run(now: datetime) -> DemoRun:
    """A run that has not started; its last day is the one before `now`, so that no one is silent on the dashboard."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return DemoRun(cohort(SEED, USERS, DAYS, midnight - timedelta(days=DAYS)))


async def play(
    new_system: System, run: DemoRun, show: Callable[[], None], finish: Callable[[], Awaitable[None]]
) -> None:
    """Run the demo in a system that has not started; `show` is called at the start, then a few times a second.

    finish: called once everything is done, while the system still runs. Raises Stop.
    """
    show()
    this = asyncio.current_task()
    if this is not None:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, this.cancel)
    async with new_system as system, Observer(system.settings) as observer:
        tasks = [
            asyncio.create_task(system.run()),
            asyncio.create_task(_submit(system, run)),
            *(
                asyncio.create_task(_collect(system, topic, run))
                for topic in (topics.SCORED, topics.ALERTS, topics.DEAD)
            ),
        ]
        try:
            while not await _finished(observer, run):
                run.extracted = await _extracted(observer, system.settings)
                show()
                done, _ = await asyncio.wait(tasks, timeout=SHOW_EVERY_S, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                if len(done) == len(tasks):
                    break
                await asyncio.sleep(SHOW_EVERY_S)
            show()
            await finish()
        except asyncio.CancelledError:
            system.stop_within_s = 0.0  # what the roles have started goes with the demo
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _finished(observer: Observer, run: DemoRun) -> bool:
    """Whether every memo has its score or dead letter, and every alert on the broker was read."""
    if len(run.scores) + len(run.dead) < run.memos:
        return False
    if await observer.backlog(AGENTS_GROUP, topics.SCORED.name):
        return False
    _, alerts = await observer.size(topics.ALERTS.name)
    return len(run.alerts) >= alerts


async def _extracted(observer: Observer, settings: Settings) -> dict[str, int]:
    """Memos that each feature worker has committed, by stage; the embedded broker counts offsets from 0."""
    return {
        stage.name: sum((await observer.positions(stage.group, stage.reads.name)).values())
        for stage in feature_stages(settings.modalities)
    }


async def _submit(system: System, run: DemoRun) -> None:
    """Generate and submit the memos in the order of their days; the broken one in the middle."""
    async with Submitter.open(system.settings, system.codec, system.journal) as submitter:
        for user_id, recorded_at, sound in _script(run):
            data = await asyncio.to_thread(sound)
            digest = sha256(data).hexdigest()
            uri = await asyncio.to_thread(system.inbox.put_memo, user_id, data, digest, ".wav")
            moment = datetime.now(UTC)
            await submitter.send(
                MemoUploaded(memo_id(user_id, digest, recorded_at), user_id, recorded_at, moment, uri, digest)
            )
            run.submitted += 1


def _script(run: DemoRun) -> Iterator[tuple[str, datetime, Callable[[], bytes]]]:
    lines = [(memo.recorded_at, user, memo) for user in run.users for memo in user.memos]
    lines.sort(key=lambda line: line[0])
    for number, (recorded_at, user, memo) in enumerate(lines):
        if number == len(lines) // 2:
            yield user.user_id, recorded_at, lambda: BROKEN
        yield user.user_id, recorded_at, lambda user=user, memo=memo: _wav(user, memo)  # type: ignore[misc]


def _wav(user: ScriptedUser, memo: Any) -> bytes:
    signal, _ = sound_of(user, memo)
    file = io.BytesIO()
    soundfile.write(file, signal, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


async def _collect(system: System, topic: topics.Topic, run: DemoRun) -> None:
    records = follow(system.settings, system.codec, topic, topic.record, from_start=True, once=False)
    async for record in records:
        run.note(record)
