"""Whether Redis is reached, may be written, and keeps what it is given."""

import os
import time
from collections.abc import Mapping
from typing import Any

from redis import exceptions
from redis.connection import parse_url

from schemas.errors import ConfigurationError, Stop, Transient
from schemas.state_keys import PREFIX
from streams.doctor.environment import unreached
from streams.doctor.examination import Patient, in_thread
from streams.doctor.finding import Finding, failed, ok, skipped, warning
from workers.state.redis_client import redis_access, redis_client
from workers.state.redis_errors import translated

ANSWER_S = 4.0
KEY_MS = 60_000
"""The key that `permissions` writes is gone after this, should it not be deleted."""
OLDEST = (6, 2)
"""First version with everything that is sent: `SET … PX`, `EVAL` under ACLs by key."""
FULL, NEARLY_FULL = 0.95, 0.8
"""Share of the memory that is used."""
CLIENT, INFO = "redis client", "redis info"
"""What the checks leave in `Patient.known`."""
CONFIGURE = "in redis.conf (CONFIG SET changes a running server)"


async def connection(patient: Patient) -> Finding:
    """The address, its name, its port, and that the server lets us in."""
    url = patient.settings.redis_url
    if fault := patient.fault_of("REDIS_URL"):
        return failed(fault, "write redis://host:port/0, rediss:// or unix://")
    if url is None:
        return skipped(
            "no store: REDIS_URL is not set and no `undertone up` runs", "set REDIS_URL, or start `undertone up`"
        )
    if unreachable := await _unreachable(url):
        return unreachable
    client: Any = redis_client(url, redis_access(patient.settings), ANSWER_S)
    patient.exits.push_async_callback(client.aclose)
    began = time.monotonic()
    try:
        await client.ping()
    except (exceptions.RedisError, OSError) as error:
        return _told(error)
    patient.known[CLIENT] = client
    await _learn(patient, client)
    info = patient.known[INFO]
    kind = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version") or "of an unknown version"
    return ok(f"{kind} {version} answers within {1000 * (time.monotonic() - began):.0f} ms")


async def _unreachable(url: str) -> Finding | None:
    """What keeps a connection from being made; None when the server accepts one."""
    try:
        parse: Any = parse_url
        place = parse(url)
    except ValueError:
        raise ConfigurationError("REDIS_URL must be redis://, rediss:// or unix://, with a host or a path") from None
    if "path" in place:
        if await in_thread(lambda: os.path.exists(place["path"])):  # noqa: PTH110  # a path as the client reads it
            return None
        return failed("the socket in REDIS_URL does not exist", "start Redis, or correct REDIS_URL")
    return await unreached(str(place.get("host", "localhost")), int(place.get("port", 6379)), "REDIS_URL")


def _told(error: BaseException) -> Finding:
    """An error of the client as agents would meet it."""
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return failed(
            "Redis accepts connections and never answers", "look whether it is Redis, and whether it is frozen"
        )
    found: Stop | Transient | None = translated(error)
    if found is None:
        return failed(f"Redis answers {type(error).__name__}", "look at its log")
    return failed(str(found), "" if isinstance(found, Stop) else "look at its log")


async def _learn(patient: Patient, client: Any) -> None:
    """INFO, as far as this user may see it."""
    try:
        patient.known[INFO] = dict(await client.info())
    except (exceptions.RedisError, OSError):
        patient.known[INFO] = {}


def _info(patient: Patient) -> Mapping[str, Any] | Finding:
    """What INFO says, or the finding when this user may not ask."""
    if info := patient.known[INFO]:
        return dict(info)
    return skipped("this user may not run INFO", "allow it (`+info`, as in deploy/redis/users.acl)")


async def server(patient: Patient) -> Finding:
    """One primary that is not a cluster, in a version that has what is sent."""
    info = _info(patient)
    if isinstance(info, Finding):
        return info
    if info.get("cluster_enabled"):
        return failed(
            "REDIS_URL names a node of a Redis Cluster, which is not supported", "name one server that has all keys"
        )
    if info.get("role", "master") not in {"master", "primary"}:
        return failed("REDIS_URL names a replica, which takes no writes", "name the primary")
    found = tuple(int(part) for part in str(info.get("redis_version", "0")).split(".")[:2] if part.isdigit())
    if found < OLDEST:
        return failed(f"version {info.get('redis_version')} is too old", "use Redis 6.2 or newer, or Valkey")
    return ok(f"one primary with {info.get('connected_clients', 0)} clients")


async def permissions(patient: Patient) -> Finding:
    """A key of ours can be written, read and deleted; it is gone afterwards."""
    client: Any = patient.known[CLIENT]
    key, value = f"{PREFIX}doctor:{os.urandom(8).hex()}", os.urandom(8)
    try:
        await client.set(key, value, px=KEY_MS)
        (found,) = await client.mget([key])
        await client.delete(key)
    except (exceptions.RedisError, OSError) as error:
        return _told(error)
    if found != value:
        return failed("Redis does not give back what was written", "look whether a proxy lies between")
    return ok(f"keys under {PREFIX} can be written, read and deleted")


async def eviction(patient: Patient) -> Finding:
    """`maxmemory-policy` is `noeviction`."""
    info = _info(patient)
    if isinstance(info, Finding):
        return info
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return failed(
            f"maxmemory-policy is {policy}: a full server deletes users' states in silence",
            f"set maxmemory-policy noeviction {CONFIGURE}",
        )
    return ok("maxmemory-policy is noeviction")


async def persistence(patient: Patient) -> Finding:
    """The append-only file is on."""
    info = _info(patient)
    if isinstance(info, Finding):
        return info
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok":
            return failed("the last write of the append-only file failed", "look at the disk of Redis and at its log")
        return ok("appendonly is on")
    try:
        saves = (await patient.known[CLIENT].config_get("save")).get("save", "")
    except (exceptions.RedisError, OSError):
        saves = None
    fix = f"set appendonly yes {CONFIGURE}"
    if saves:
        return warning("appendonly is off, snapshots are on: a crash loses what came after the last one", fix)
    also = "whether it saves snapshots is unknown" if saves is None else "it saves no snapshots"
    return failed(f"appendonly is off and {also}: a restart loses every baseline and every open episode", fix)


async def memory(patient: Patient) -> Finding:
    """Room for more users."""
    info = _info(patient)
    if isinstance(info, Finding):
        return info
    used = int(info.get("used_memory", 0))
    limit = int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0))
    if not limit:
        return skipped("the server does not say how much memory it has")
    text = f"{used / 1e6:.0f} of {limit / 1e6:.0f} MB used"
    fix = "give Redis more memory (maxmemory, the machine); docs/operations.md, Sizing, says how much"
    if used > FULL * limit:
        return failed(f"{text}: writes will be refused", fix)
    return warning(text, fix) if used > NEARLY_FULL * limit else ok(text)
