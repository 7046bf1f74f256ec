"""The roster: a Bloom filter of every watched key ever written, so that a lost one is noticed.

It cannot forget one key, and so would answer for a pseudonym for ever: `rebuild` makes it again of the keys that exist.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from schemas.state_keys import PREFIX, ROSTER, WATCHED
from workers.state.redis_client import redis_call

BITS = 1 << 24
"""2 MiB; with three probes a million keys give 0.5 % false "lost"."""
PROBES = 3
PAGE = 1000
_SPECIAL = re.compile(r"([*?\[\]\\^])")


def probes(key: str) -> list[int]:
    """Bits of a key without its prefix."""
    digest = blake2b(key.encode(), digest_size=4 * PROBES).digest()
    return [int.from_bytes(digest[4 * i : 4 * i + 4], "big") % BITS for i in range(PROBES)]


async def rebuild(client: Any, prefix: str = PREFIX, watched: Sequence[str] = WATCHED) -> int:
    """Make the roster again of the watched keys that exist; returns how many. Raises Transient.

    A key that is written meanwhile is in it; one that is lost meanwhile is not counted as lost.
    """
    name = prefix + ROSTER.key()
    async with redis_call(client, "delete"):
        await client.delete(name)
    known = 0
    for start in watched:
        async with redis_call(client, "find"):
            page: list[bytes] = []
            async for key in client.scan_iter(match=f"{_literal(prefix + start)}*", count=PAGE):
                page.append(key)
                if len(page) == PAGE:
                    known += await _add(client, name, prefix, page)
                    page = []
            known += await _add(client, name, prefix, page)
    return known


async def _add(client: Any, name: str, prefix: str, keys: Sequence[bytes]) -> int:
    async with client.pipeline(transaction=False) as pipe:
        for key in keys:
            for offset in probes(key.decode(errors="surrogateescape").removeprefix(prefix)):
                pipe.setbit(name, offset, 1)
        await pipe.execute()
    return len(keys)


def _literal(text: str) -> str:
    """A glob pattern that matches this text alone."""
    return _SPECIAL.sub(r"\\\1", text)
