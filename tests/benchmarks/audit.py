"""What an audit event costs whoever waits for it, and how long a check of the trail takes.

`python -m tests.benchmarks.audit [--events N]`: Apache Kafka on this machine, one replica, a producer as the dashboard
has it. First events one after another, as a command or a single clinician leaves them, then many at once.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from deploy.kafka.server import KafkaServer
from schemas.codec import Codec
from schemas.settings import Settings
from streams.api.publish import ACKNOWLEDGED_WITHIN_S, Publisher
from streams.audit.check import check_trail
from streams.audit.notary import sign_heads
from streams.audit.settings import keys_of
from streams.audit.trail import KafkaAuditTrail
from tests.benchmarks.machine import provenance
from tests.unit.schemas.records import AUDIT
from workers.kafka.clients import make_producer

RESULTS = Path(__file__).parent / "results" / "audit.md"
AT_ONCE = (1, 8, 32)
WARM = 200
BOUND_MS = 20.0


async def waits_ms(trail: KafkaAuditTrail, events: int, at_once: int) -> Sequence[float]:
    """How long each event took, so many being written at any time."""
    waits: list[float] = []

    async def one_after_another(actor: str, count: int) -> None:
        for _ in range(count):
            began = time.perf_counter()
            await trail.record(replace(AUDIT, actor=actor))
            waits.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(one_after_another(f"clinician-{number}", events // at_once) for number in range(at_once)))
    return waits


async def measured(settings: Settings, events: int) -> Sequence[str]:
    """The lines of the table."""
    lines = []
    async with make_producer(settings) as producer:
        trail = KafkaAuditTrail(Publisher(producer, Codec(), ACKNOWLEDGED_WITHIN_S), keys_of(settings))
        await waits_ms(trail, WARM, 8)
        for at_once in AT_ONCE:
            began = time.perf_counter()
            waits = await waits_ms(trail, events, at_once)
            rate = len(waits) / (time.perf_counter() - began)
            cuts = quantiles(waits, n=1000)
            lines.append(
                f"{at_once} | {cuts[499]:.1f} | {cuts[949]:.1f} | {cuts[989]:.1f} | {max(waits):.1f} | {rate:,.0f}"
            )
    return lines


async def checked(settings: Settings) -> str:
    """How long signing and checking take, in words."""
    began = time.perf_counter()
    head = await sign_heads(settings)
    signed_s = time.perf_counter() - began
    began = time.perf_counter()
    found = await check_trail(settings)
    checked_s = time.perf_counter() - began
    assert head is not None
    assert found.verdict.findings == []
    events = found.verdict.events
    return (
        f"Signing {events:,} events: {signed_s:.1f} s; checking them: {checked_s:.1f} s, {events / checked_s:,.0f} "
        f"events/s, {found.verdict.writers} chains, no finding."
    )


@contextmanager
def kafka() -> Iterator[Settings]:
    """A broker with the topics, and settings with every key."""
    with tempfile.TemporaryDirectory(prefix="undertone-audit-") as name, KafkaServer() as server:
        key = Path(name) / "audit.pem"
        key.touch(0o600)
        key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        environment = {**os.environ, "KAFKA_BOOTSTRAP": server.bootstrap}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics", "create"], env=environment, check=True)
        yield Settings(
            kafka_bootstrap=server.bootstrap,
            audit_key=SecretStr("the key of the trail of a benchmark"),
            audit_signing_key=key,
            audit_anchors=(f"file://{name}/heads.jsonl",),
        )


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=8000, help="events of each row")
    events = parser.parse_args().events
    with kafka() as settings:
        lines = asyncio.run(measured(settings, events))
        check = asyncio.run(checked(settings))
    RESULTS.write_text(
        f"""# Writing and checking the audit trail

{provenance(f"python -m tests.benchmarks.audit --events {events}")}

Apache Kafka on the same machine, one replica, acknowledged by all; each event chained, with a code of the trail's key
and the keyed hash of a person. Milliseconds until Kafka has an event; what must hold is p99 within {BOUND_MS:g} ms.

events at once | p50 | p95 | p99 | longest | events/s
---|---|---|---|---|---
{chr(10).join(lines)}

{check}
"""
    )
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
