"""Features that are on disk are not made again, also when whoever made them was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import FloatArray, MemoFeatures, Modality, Quality
from tests.unit.workers.scoring.toys import ACOUSTIC, GOOD, part
from workers.audio.memo import Memo
from workers.corpora.feature_cache import BATCH, Extraction, extracted
from workers.scoring.feature_space import Parts

MEMOS = 3 * BATCH
KILLED_AT = 2 * BATCH + 5


@dataclass(frozen=True, slots=True)
class Numbered:
    """A recording that is its number."""

    number: int

    @property
    def key(self) -> str:
        """Digest of the number."""
        return sha256(str(self.number).encode()).hexdigest()

    def read(self) -> tuple[FloatArray, Quality]:
        """A second of the number."""
        return np.full(16000, self.number, np.float32), GOOD


@dataclass
class Reader:
    """A stage that gives the number back as features; killed by itself when it meets `dies_at`."""

    dies_at: int | None = None
    read: list[int] = field(default_factory=list)
    name: str = "reader"

    def process(self, batch: Sequence[Memo]) -> list[list[MemoFeatures] | Poison]:
        """One outcome each."""
        for memo in batch:
            self.read.append(int(memo.signal[0]))
            if self.read[-1] == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return [[part(Modality.ACOUSTIC, [memo.signal[0], 0, 0, 0])] for memo in batch]

    def close(self) -> None:
        """Nothing to give back."""


def read_all(folder: Path, reader: Reader) -> list[Parts | Poison]:
    """Features of all recordings."""
    extraction = Extraction(Modality.ACOUSTIC, reader, ACOUSTIC, 15.0)
    return extracted([Numbered(n) for n in range(MEMOS)], [extraction], folder)


def test_who_is_killed_while_features_are_made_goes_on_where_it_stood(tmp_path: Path) -> None:
    story = f"from {__name__} import *; read_all(Path(sys.argv[1]), Reader(dies_at={KILLED_AT}))"
    killed = subprocess.run([sys.executable, "-c", story, str(tmp_path)], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    again = Reader()
    found = read_all(tmp_path, again)
    assert again.read == list(range(2 * BATCH, MEMOS))
    values = [p[Modality.ACOUSTIC].summary[0] for p in found if not isinstance(p, Poison)]
    assert values == list(range(MEMOS))
    nobody = Reader()
    read_all(tmp_path, nobody)
    assert not nobody.read


@pytest.mark.parametrize("kept", [0, 20])
def test_features_that_lie_cut_on_disk_are_made_again(tmp_path: Path, kept: int) -> None:
    read_all(tmp_path, Reader())
    file = min(tmp_path.rglob("*.avro"))
    file.write_bytes(file.read_bytes()[:kept])
    again = Reader()
    read_all(tmp_path, again)
    assert len(again.read) == 1
