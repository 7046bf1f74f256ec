"""What sealing costs the agents for state: CPU of one process for what a memo makes of the store, with and without.

    python -m tests.benchmarks.sealed_state

Rounds with and without sealing alternate in one process and on one server, so that whatever disturbs the machine
disturbs both. A memo has two parts, in two batches; calls, keys and sizes are those of fusion and drift agent, whose
own computing is left out.
"""

import asyncio
import os
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from schemas.settings import Settings
from schemas.state_keys import BASELINE, DRIFT, EXCLUSIONS, JOIN, OPEN_JOINS, SILENCES
from tests.benchmarks.machine import provenance
from tests.servers import RedisServer
from workers.privacy.keyring import Keyring
from workers.state.deadlines import Deadlines
from workers.state.places import Places
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore
from workers.state.sealed_deadlines import SealedDeadlines
from workers.state.sealed_store import SealedStore
from workers.state.store import Store

RESULTS = Path(__file__).parent / "results"
BATCH, ROUNDS, WARMING = 200, 24, 4
SIZES = {JOIN.prefix: 1800, BASELINE.prefix: 3400, DRIFT.prefix: 1100}
"""Bytes of a value: the median of the agents after ninety memos."""


class World:
    """What the agents of one kind write to."""

    def __init__(self, store: Store, joins: Deadlines, silences: Deadlines) -> None:
        self.store, self.joins, self.silences = store, joins, silences

    async def batch(self, number: int) -> None:
        """What becomes of one memo of each user: both parts, the score, and drift."""
        users = [f"user-{(number * BATCH + each) % (4 * BATCH):06d}" for each in range(BATCH)]
        joins = [JOIN.key(user, f"{user}-{number:08d}") for user in users]
        due = await self.joins.now() + timedelta(hours=6)
        await self._write(joins, number)
        await self.joins.put(dict.fromkeys(joins, due))
        await self._write(joins, number + 1)
        await self._read([row.key(user) for row in (BASELINE, DRIFT, EXCLUSIONS) for user in users])
        baselines = [BASELINE.key(user) for user in users]
        await self._write(baselines, number)
        await asyncio.gather(self._write(joins, number + 2), self.joins.drop(joins), self._write(baselines, number + 1))
        await self._read([EXCLUSIONS.key(user) for user in users])
        await self._write([DRIFT.key(user) for user in users], number)
        await self.silences.put(dict.fromkeys(users, due))

    async def _write(self, keys: Sequence[str], number: int) -> None:
        await self.store.update(keys, lambda key, _: (_value(key, number), None), ttl_s=3600.0)

    async def _read(self, keys: Sequence[str]) -> None:
        await self.store.update(keys, lambda _, stored: (None, stored), ttl_s=3600.0)


def _value(key: str, number: int) -> bytes:
    return number.to_bytes(4, "big") * (SIZES[key[: key.index("{") + 1]] // 4)


async def _measured(server: RedisServer, home: Path) -> tuple[list[float], list[float]]:
    """CPU seconds a memo, without and with sealing, by round."""
    keyring = Keyring.open(Settings.load(seal="on", home=home))
    places = Places(keyring)
    keyring.warm_now([f"user-{number:06d}" for number in range(4 * BATCH)], enrol=True)
    async with (
        RedisStore(server.url, prefix="clear:") as clear,
        RedisStore(server.url, prefix="sealed:") as under,
        RedisDeadlines(server.url, key="clear:joins") as joins,
        RedisDeadlines(server.url, key="clear:silences", row=SILENCES) as silences,
        RedisDeadlines(server.url, key="sealed:joins") as under_joins,
        RedisDeadlines(server.url, key="sealed:silences", row=SILENCES) as under_silences,
    ):
        worlds = (
            World(clear, joins, silences),
            World(
                SealedStore(under, keyring, places=places),
                SealedDeadlines(under_joins, keyring, OPEN_JOINS, places=places),
                SealedDeadlines(under_silences, keyring, SILENCES),
            ),
        )
        taken: tuple[list[float], list[float]] = ([], [])
        for number in range(WARMING + ROUNDS):
            for world, cpu in zip(worlds, taken, strict=True):
                began = time.process_time()
                await world.batch(number)
                cpu.append((time.process_time() - began) / BATCH)
    keyring.close()
    return taken[0][WARMING:], taken[1][WARMING:]


def _table(clear: Sequence[float], sealed: Sequence[float]) -> list[str]:
    both = [1e6 * median(cpu) for cpu in (clear, sealed)]
    more = 1e6 * median(s - c for c, s in zip(clear, sealed, strict=True))
    return [
        f"{ROUNDS} rounds of {BATCH} memos each, alternating; medians.\n",
        "| state of a memo | CPU, µs |",
        "|---|---|",
        f"| without sealing | {both[0]:.0f} |",
        f"| with sealing | {both[1]:.0f} |",
        f"| difference, paired | {more:.0f} |",
        f"\nWith sealing, the store and the due times take {both[1] / both[0]:.2f} times the CPU.",
    ]


def _ciphers() -> list[str]:
    """The two ciphers that a value could have, each with its object, on a value of the size of a baseline."""
    value, nonce, place = os.urandom(SIZES[BASELINE.prefix]), bytes(12), b"baseline:{00}~"
    siv, gcm = os.urandom(64), os.urandom(32)
    taken = {
        "AES-256-SIV": _best(lambda: AESSIV(siv).encrypt(value, [place])),
        "AES-256-GCM": _best(lambda: AESGCM(gcm).encrypt(nonce, value, place)),
    }
    rows = [f"| {name} | {1e6 * seconds:.1f} |" for name, seconds in taken.items()]
    return [f"\n| {len(value):,} bytes, with the cipher's object | µs |", "|---|---|", *rows]


def _best(work: Callable[[], object], times: int = 2000) -> float:
    return min(timeit.repeat(work, number=times, repeat=9)) / times


def main() -> None:
    """Write results/sealed_state.md."""
    with RedisServer(durable=False) as server, tempfile.TemporaryDirectory() as home:
        clear, sealed = asyncio.run(_measured(server, Path(home)))
    heading = ["# What sealing costs for state", f"\n{provenance('python -m tests.benchmarks.sealed_state')}\n"]
    (RESULTS / "sealed_state.md").write_text("\n".join([*heading, *_table(clear, sealed), *_ciphers()]) + "\n")
    sys.stdout.write((RESULTS / "sealed_state.md").read_text())


if __name__ == "__main__":
    main()
