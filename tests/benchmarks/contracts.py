"""What a record costs on the wire, and how long real servers take: `python -m tests.benchmarks.contracts`.

Records are compared with the same fields as JSON. Kafka's jars are brought into an empty cache and an empty local Maven
repository once, as on a new machine.
"""

import json
import shutil
import statistics
import subprocess
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from deploy.kafka.server import HERE, KafkaServer, version
from schemas.codec import Codec
from schemas.events import MemoFeatures
from tests.benchmarks.machine import provenance
from tests.servers import RedisServer
from tests.unit.schemas.records import FEATURES

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).parent / "results" / "contracts.md"
ROUNDS = 5


def main() -> None:
    """Measure and write the page."""
    lines = ["# Contracts and servers", "", provenance("python -m tests.benchmarks.contracts"), ""]
    lines += [*_record(), "", *_servers(), ""]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(lines))
    print(OUT.read_text())


def _record() -> Iterator[str]:
    rng = np.random.default_rng(1)
    record = replace(
        FEATURES,
        windows=rng.standard_normal((4, 100), np.float32),
        summary=rng.standard_normal(456).astype(np.float32),
        names=(),
    )
    codec = Codec()
    data, text = codec.encode(record), _as_json(record)
    yield f"A `MemoFeatures` of 856 floats; median of {ROUNDS} rounds of 2,000."
    yield ""
    yield "| | bytes | encode, µs | decode, µs |"
    yield "|---|---|---|---|"
    encode, decode = _micros(lambda: codec.encode(record)), _micros(lambda: codec.decode(data, MemoFeatures))
    yield f"| Avro, single-object | {len(data)} | {encode:.0f} | {decode:.0f} |"
    written, read = _micros(lambda: _as_json(record)), _micros(lambda: json.loads(text))
    yield f"| JSON, to plain lists | {len(text)} | {written:.0f} | {read:.0f} |"
    yield f"| JSON / Avro | {len(text) / len(data):.1f} | {written / encode:.1f} | {read / decode:.1f} |"


def _as_json(record: MemoFeatures) -> str:
    plain = {field.name: getattr(record, field.name) for field in fields(record)}
    return json.dumps(plain, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.isoformat() if isinstance(value, datetime) else asdict(value)  # type: ignore[call-overload]


def _micros(work: Callable[[], object]) -> float:
    return statistics.median(timeit.repeat(work, number=2000, repeat=ROUNDS)) / 2000 * 1e6


def _servers() -> Iterator[str]:
    yield f"Apache Kafka {version()} with a cluster of one, and Redis; median (range) of {ROUNDS}, in seconds."
    yield ""
    yield "| | s |"
    yield "|---|---|"
    yield f"| Kafka's jars into an empty Maven repository, once | {_cold():.1f} |"
    starts, stops, again, revived = [], [], [], []
    for _ in range(ROUNDS):
        began = time.monotonic()
        with KafkaServer() as server:
            starts.append(time.monotonic() - began)
            stops.append(_seconds(server.stop))
            again.append(_seconds(server.start))
            server.kill()
            revived.append(_seconds(server.start))
    yield f"| Kafka: format and start until a client is answered | {_spread(starts)} |"
    yield f"| Kafka: stop in good order | {_spread(stops)} |"
    yield f"| Kafka: start again with its data | {_spread(again)} |"
    yield f"| Kafka: start again after a kill | {_spread(revived)} |"
    redis = []
    for _ in range(ROUNDS):
        with RedisServer() as store:
            store.kill()
            redis.append(_seconds(store.start))
    yield f"| Redis: start with its data | {_spread(redis)} |"


def _cold() -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = ["mvn", "--quiet", "--batch-mode", "--file", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        places = [f"-Dmaven.repo.local={folder}/repository", f"-DoutputDirectory={folder}/jars"]
        return _seconds(lambda: subprocess.run([*command, *places], check=True, capture_output=True))


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    if shutil.which("mvn") is None:
        raise SystemExit("this benchmark needs Java and Maven")
    main()
