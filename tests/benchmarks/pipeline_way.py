"""(a) What streaming costs: the whole way with real stages and real audio, beside the bare stages called in a loop.

Both have the same cores and the same memos, and are warm before the clock begins. The way runs both workers, the
agents, Kafka and Redis; the loops run both stages beside each other and nothing else: no scores, no drift.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import soundfile

from schemas.events import MemoUploaded
from schemas.ids import memo_id
from tests.benchmarks.pipeline_records import START, wav
from tests.benchmarks.pipeline_system import REAL, System

ROOT = Path(__file__).parent.parent.parent
STAGES = ("acoustic", "embedding")
WARM = 24
"""Memos before the clock begins."""
LENGTHS_S = (13.0, 15.0)
"""Of the clips: nearly alike, so that the encoder's programs are compiled once WARM memos are through."""
SIMULATED_S = 14.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that all memos took: of wall clock, and of CPU by process."""

    wall_s: float
    cpu_s: dict[str, float]


def audio(folder: Path, memos: int) -> tuple[list[Path], str]:
    """So many audio files in the folder, and what they are: real speech where it is, else simulated voices."""
    shared = Path(os.environ.get("UNDERTONE_SHARED", ROOT.parent / "shared")) / "audio"
    shortest, longest = LENGTHS_S
    clips = [clip for clip in sorted(shared.rglob("*.flac")) if shortest <= soundfile.info(clip).duration < longest]
    for number in range(memos):
        if clips:
            shutil.copyfile(clips[number % len(clips)], folder / f"{number:04d}.flac")
        else:
            (folder / f"{number:04d}.wav").write_bytes(wav(number, SIMULATED_S))
    return sorted(folder.iterdir()), "real speech" if clips else "simulated voices"


def uploads(paths: Sequence[Path]) -> list[MemoUploaded]:
    """One memo a file, of ten users by turns."""
    made = []
    for number, path in enumerate(paths):
        user, at = f"user-{number % 10}", START + timedelta(hours=number)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made.append(MemoUploaded(memo_id(user, digest, at), user, at, at, path.as_uri(), digest))
    return made


def way(paths: Sequence[Path], folder: Path) -> Cost:
    """The whole way of the memos past WARM, from the first upload until drift has followed the last score."""
    memos = uploads(paths)
    with System(REAL, {"UNDERTONE_AUDIO_PREFIXES": folder.as_uri()}) as system:
        system.upload(memos[:WARM])
        began = system.until(WARM, system.followed)
        before = system.cpu_s()
        system.upload(memos[WARM:])
        wall_s = system.until(len(memos), system.followed) - began
        after = system.cpu_s()
    return Cost(wall_s, {name: after[name] - before[name] for name in after})


def loops(folder: Path) -> Cost:
    """The bare stages over the same memos, both at once."""
    command = [sys.executable, "-m", "tests.benchmarks.pipeline_stages"]
    processes = {
        stage: subprocess.Popen(
            [*command, stage, str(folder), str(WARM)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for stage in STAGES
    }  # fmt: skip
    try:
        for process in processes.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = {stage: json.loads(process.communicate()[0]) for stage, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return Cost(max(each["wall_s"] for each in told.values()), {stage: each["cpu_s"] for stage, each in told.items()})


def beside_loops(memos: int, rounds: int = 2) -> Iterator[str]:
    """Both, by turns, as lines of Markdown."""
    with tempfile.TemporaryDirectory(prefix="undertone-way-") as name:
        folder = Path(name)
        paths, what = audio(folder, WARM + memos)
        found = [(way(paths, folder), loops(folder)) for _ in range(rounds)]
    yield f"{memos} memos of {what}, {WARM} before them to warm up; both stages at their production settings."
    yield ""
    yield "round | whole pipeline, memos/s | bare stages | ratio | workers' and agents' CPU, s | bare stages' | ratio"
    yield "---|---|---|---|---|---|---"
    for number, (whole, bare) in enumerate(found, 1):
        ours, theirs = sum(whole.cpu_s.values()), sum(bare.cpu_s.values())
        rates = f"{memos / whole.wall_s:.2f} | {memos / bare.wall_s:.2f} | {bare.wall_s / whole.wall_s:.3f}"
        yield f"{number} | {rates} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.3f}"
    yield ""
    whole, bare = found[-1]
    each = "; ".join(f"{role} {used:.1f} s" for role, used in whole.cpu_s.items())
    yield f"CPU of the last round by role: {each}; the bare loops "
    yield "; ".join(f"{stage} {used:.1f} s" for stage, used in bare.cpu_s.items()) + "."
