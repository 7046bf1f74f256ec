"""Values in Redis that no program of ours has written, and the memo of the user whose they are."""

from collections.abc import Callable, Iterator
from functools import partial

from redis import Redis

from tests.faults.parade.poison import REDIS_PREFIX, Kitchen, Poison, Scored


def state(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them: whatever is found, the memo is scored, once."""
    for kind, before in _values(("drift",)):
        yield _of_user(kitchen, f"state {kind}", before)
    for kind, before in _values(("drift-pool", "drift-prior")):
        yield Poison(f"state {kind}", (kitchen.upload(f"state {kind}", Scored()),), before=before, alone=True)


def _of_user(kitchen: Kitchen, name: str, before: Callable[..., object]) -> Poison:
    upload = kitchen.upload(name, Scored())
    user, memo = upload.memo
    return Poison(name, (upload,), before=partial(before, user=user, memo=memo))


def _values(rows: tuple[str, ...]) -> Iterator[tuple[str, Callable[..., object]]]:
    for row in rows:
        for name, value in {
            "empty": b"",
            "short": b"\x01",
            "of no version": b"\x08digest--\x7f" + b"x" * 30,
            "noise": bytes(range(256)),
        }.items():
            yield f"{row} {name}", partial(_put, row, value)


def _put(row: str, value: bytes, client: Redis, *, user: str = "", memo: str = "") -> None:
    client.set(_key(row, user, memo), value)


def _key(row: str, user: str, memo: str) -> str:
    names = {"drift": f"drift:{{{user}}}", "baseline": f"baseline:{{{user}}}", "join": f"join:{{{user}}}:{memo}"}
    return REDIS_PREFIX + names.get(row, row)
