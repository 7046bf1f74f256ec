"""`python -m tests.benchmarks.pipeline_stages acoustic|embedding FOLDER WARM`: a bare stage, called in a loop.

Reads, decodes and extracts every memo of the folder, in batches as large as a worker's, without any broker. The first
WARM memos only warm it up; then it says "ready", waits for a line, does the others and tells what that took.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.errors import Poison
from schemas.events import MemoUploaded
from schemas.pipeline import feature_stage
from schemas.settings import Settings
from tests.benchmarks.pipeline_measure import cpu_s
from tests.benchmarks.pipeline_records import CODEC, START
from tests.benchmarks.pipeline_system import family
from workers.audio.load import load_bytes
from workers.audio.memo import Memo
from workers.consumer.stage import settle
from workers.stages import make_stage


def batches(paths: Sequence[Path], settings: Settings) -> Iterator[list[Memo]]:
    """Memos read and decoded, in batches such as a worker takes that is never without work."""
    batch: list[Memo] = []
    for path in paths:
        event = MemoUploaded(path.stem, "user", START, START, path.as_uri())
        try:
            memo = Memo(event, *load_bytes(path.read_bytes(), settings))
        except Poison:
            continue
        batch.append(memo)
        if sum(each.duration_s for each in batch) >= settings.batch_audio_s:
            yield batch
            batch = []
    yield batch


def main() -> None:
    """The command."""
    row, folder, warm = feature_stage(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = Settings.load()
    stage = make_stage(settings, row)
    paths = sorted(folder.iterdir())
    for batch in batches(paths[:warm], settings):
        settle(stage, batch)
    print("ready", flush=True)
    sys.stdin.readline()
    began, used = time.monotonic(), _family_cpu_s()
    for batch in batches(paths[warm:], settings):
        for outcome in settle(stage, batch):
            if not isinstance(outcome, Poison):
                CODEC.encode(outcome[0])
    print(json.dumps({"wall_s": time.monotonic() - began, "cpu_s": _family_cpu_s() - used}), flush=True)
    stage.close()


def _family_cpu_s() -> float:
    return sum(map(cpu_s, family(os.getpid())))


if __name__ == "__main__":
    main()
