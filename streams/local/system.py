"""The whole pipeline on one machine, as `undertone up` and the demo start it."""

import asyncio
import logging
import shutil
from contextlib import AsyncExitStack
from typing import Self

from schemas import topics
from schemas.channels import CHANNELS
from schemas.environment import PREFIX
from schemas.pipeline import HISTORY, feature_stages
from schemas.schema_registry import make_codec
from schemas.setting_types import Role
from schemas.settings import Settings
from streams.local.dashboard import DASHBOARD, Dashboard
from streams.local.discover import Running, announce, lock
from streams.local.embedded import EmbeddedKafka, EmbeddedStore
from streams.local.hidden_settings import secret_files, settings_hidden, with_secrets_in_files
from streams.local.inbox import Inbox, Retention, outcome_within
from streams.local.journal import Journal
from streams.local.journal_sync import JournalSync
from streams.local.privacy.default_sealing import open_keys, sealed_unless_shared
from streams.local.private_files import private_folder, secure_home
from streams.local.supervisor import Supervisor
from workers.privacy.files.audio_copies import AudioCopies
from workers.privacy.sealing import sealing_of

log = logging.getLogger(__name__)

SECRETS = "role-secrets"
"""Folder in the home with a folder for each role; no name that somebody's own folder there would have."""
EMBEDDED_SESSION_S = 6.0
"""Session timeout: on one machine a silent process is dead, and its partitions are reassigned after this."""


class System:
    """Broker, store, workers, agents and bridges. `async with System(settings) as system: await system.run()`.

    Embedded broker and store are started if `KAFKA_BOOTSTRAP` and `REDIS_URL` are unset; then data is sealed unless
    `UNDERTONE_SEAL` is off. Every role is a process of its own and is restarted when it dies; so is the store. Raises
    Stop when one cannot continue.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings = sealed_unless_shared(settings)
        self.embedded = settings.kafka_bootstrap is None
        self.inbox = Inbox(settings.home / "audio", AudioCopies(settings))
        self.dashboard = Dashboard.of(settings)
        self.stop_within_s = settings.stop_deadline_s + 2
        """Seconds for the roles to finish what they have started, when this ends."""

    async def __aenter__(self) -> Self:
        """Start everything; the roles need some more seconds until they consume."""
        async with AsyncExitStack() as exits:
            home = self._given.home
            if self.dashboard is not None:
                exits.callback(self.dashboard.close)
            secure_home(home)
            exits.enter_context(lock(home))
            secrets = secret_files()
            # Programs that inherit the environment, as the embedded store does, need none of it: some are secrets.
            exits.enter_context(settings_hidden())
            self._store = None if self._given.redis_url else exits.enter_context(EmbeddedStore(home / "store"))
            bootstrap = self._given.kafka_bootstrap or self._start_broker(exits)
            redis_url = self._given.redis_url or (self._store.url if self._store else "")
            self.settings = self._given.model_copy(update={"kafka_bootstrap": bootstrap, "redis_url": redis_url})
            self.codec = make_codec(self.settings)
            sealing = sealing_of(self.settings)
            exits.callback(sealing.close)
            await open_keys(sealing)
            journal = exits.enter_context(Journal(home / "journal.db", sealing=sealing))
            self.journal = journal if self.embedded else None
            environments = {
                name: with_secrets_in_files(given, secrets, private_folder(home / SECRETS) / name.replace(" ", "-"))
                for name, given in self._environments().items()
            }
            exits.callback(shutil.rmtree, home / SECRETS, ignore_errors=True)
            self.supervisor = Supervisor(self._roles(), environments, self._sockets())
            exits.push_async_callback(self._stop_roles)
            # Ended first, so that nothing stopped on purpose is restarted.
            self._tasks = [asyncio.create_task(self._keep_store())]
            exits.push_async_callback(self._end_tasks)
            await self._start_journal(journal)
            self._tasks.append(asyncio.create_task(self.supervisor.run()))
            address = self.dashboard.address if self.dashboard else ""
            note = announce(home, Running(bootstrap, redis_url, self.embedded, address, seal=self.settings.seal))
            exits.callback(note.unlink, missing_ok=True)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the roles, then the store and the broker."""
        await self._exits.aclose()

    async def run(self) -> None:
        """Watch until cancelled. Raises the error of a part that cannot continue."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _start_broker(self, exits: AsyncExitStack) -> str:
        return exits.enter_context(EmbeddedKafka(topic.name for topic in topics.TOPICS)).bootstrap

    async def _start_journal(self, journal: Journal) -> None:
        sync = JournalSync(self.settings, self.codec, journal)
        if self.embedded:
            if resubmitted := await sync.resubmit():
                log.info("%d unfinished memos of an earlier run resubmitted", resubmitted)
            await sync.say_again()
            self._tasks += [asyncio.create_task(sync.run()), asyncio.create_task(sync.follow_consents())]
        else:
            self._tasks.append(asyncio.create_task(sync.follow_outcomes()))
        within = None if self.embedded else outcome_within(self._given)
        retention = Retention(self.inbox, journal, self._given.audio_retention_s, within)
        self._tasks.append(asyncio.create_task(retention.run()))

    async def _keep_store(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self._store is not None and await asyncio.to_thread(self._store.revive):
                log.warning("the embedded store died and was restarted")

    async def _stop_roles(self) -> None:
        await self.supervisor.stop(self.stop_within_s)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _roles(self) -> dict[str, tuple[str, ...]]:
        given = self._given
        names = [stage.name for stage in feature_stages(given.modalities)]
        workers = {f"worker {name}": ("worker", name) for name in names}
        addressed = (channel.name for channel in CHANNELS if getattr(given, channel.setting))
        bridges = {f"bridge {name}": ("bridge", name) for name in addressed}
        # The newest last: the ports of metrics count on from the first.
        dashboard = {HISTORY: (HISTORY,), DASHBOARD: (DASHBOARD,)} if self.dashboard else {}
        return {**workers, "agents": ("agents",), **bridges, **dashboard}

    def _environments(self) -> dict[str, dict[str, str]]:
        """The environment of each role: what this role reads, and the port of its metrics."""
        shared, first = self._for_roles(), self._given.metrics_port
        ports = {name: first + place if first else 0 for place, name in enumerate(self._roles())}
        return {
            name: _environment(shared.model_copy(update={"metrics_port": port}), name) for name, port in ports.items()
        }

    def _sockets(self) -> dict[str, int]:
        """Descriptors that a role inherits."""
        listening = None if self.dashboard is None else self.dashboard.listening
        return {} if listening is None else {DASHBOARD: listening.fileno()}

    def _for_roles(self) -> Settings:
        """Settings of the roles: these connections, the inbox as one more prefix, an end with this process."""
        inbox = self.inbox.folder.resolve().as_uri()
        changes: dict[str, object] = {"audio_prefixes": (inbox, *self._given.audio_prefixes), "supervised": True}
        if self.dashboard:
            changes["dashboard_port"] = self.dashboard.port
            changes["dashboard_socket"] = self._sockets().get(DASHBOARD)
        if self.embedded:
            changes["session_timeout_s"] = EMBEDDED_SESSION_S
        return self.settings.model_copy(update=changes)


def _environment(settings: Settings, role: str) -> dict[str, str]:
    """The environment of a role: secrets of the others stay out of it."""
    kind, _, name = role.partition(" ")
    found = settings.child_environment(Role[kind.upper()])
    others = tuple(f"{PREFIX}{channel.name}_".upper() for channel in CHANNELS if channel.name != name)
    return {variable: text for variable, text in found.items() if not variable.upper().startswith(others)}
