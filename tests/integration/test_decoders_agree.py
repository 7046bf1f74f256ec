"""What FFmpeg, libsndfile and SoX read whole is read whole, or refused by name; never a part in silence.

Every container with every change that recorders, phones and transports make to files, against three tools as judges.
Where a judge reads something else than we do, the table of disagreements says why.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from scipy import fft

from schemas.errors import Poison
from schemas.events import FloatArray
from tests.audio_files import spoken
from tests.recorded_files import File, containers, recorded
from workers.audio.decode import decode
from workers.audio.memo import SAMPLING_RATE

SECONDS = 2.0
SAME_S = 0.15
"""What codecs add at both ends, and block sizes round."""
SOX_WITHIN_S = 5.0
SOX_TYPES = {"vorbis": "ogg", "amr": "amr-nb", "rf64": "wav"}

DISAGREEMENTS = (
    ("*", "cut to *", "they read what is left; a cut file is an error here, never a shorter memo"),
    ("*", "twice", "they read the first recording, or refuse the second header; all joined recordings are read here"),
    ("*", "ID3v2 before it", "they refuse the tag, or take it for samples; it is passed over here"),
    ("wav*", "data size 0*", "libsndfile and SoX take 0 for no samples; FFmpeg reads to the end, as is done here"),
    ("mp3*", "junk before it", "libsndfile gives up before the first frame; FFmpeg and SoX find it, as is done here"),
    ("mp3_bare", "* after it", "libsndfile gives up a file without an index when bytes that are no frame follow"),
    ("amr", "multipart boundary after it", "SoX never ends when bytes that are no frame follow"),
    ("amr", "ID3v1 after it", "FFmpeg takes the zeros of the tag for frames of the lowest rate"),
    (
        "amr",
        "zeros after it",
        "they take zeros for frames of the lowest rate; the last one is cut, which is refused here",
    ),
)
"""Container, change, and why a judge reads something else than we do."""


def by_ffmpeg(file: File, _: Path) -> float:
    """Seconds that FFmpeg reads, errors passed over as its command does."""
    with suppress(av.FFmpegError, IndexError):
        container: Any = av.open(BytesIO(file.data), metadata_errors="replace")
        with container:
            return sum(_seconds_of_packets(container))
    return 0.0


def _seconds_of_packets(container: Any) -> Iterator[float]:
    for packet in container.demux(container.streams.audio[0]):
        with suppress(av.FFmpegError):
            yield sum(frame.samples / frame.sample_rate for frame in packet.decode())


def by_libsndfile(file: File, _: Path) -> float:
    """Seconds that libsndfile reads."""
    with suppress(soundfile.SoundFileError), soundfile.SoundFile(BytesIO(file.data)) as opened:
        return sum(map(len, opened.blocks(1 << 16))) / float(opened.samplerate)
    return 0.0


def by_sox(file: File, folder: Path) -> float:
    """Seconds that SoX reads, told the type. It never ends on some files, which counts as reading nothing."""
    path = folder / "file"
    path.write_bytes(file.data)
    kind = SOX_TYPES.get(file.container, file.container.split("_")[0])
    raw = ("-c", "1", "-r", str(SAMPLING_RATE), "-b", "16", "-e", "signed", "-t", "raw", "-")
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(["sox", "-V0", "-t", kind, path, *raw], capture_output=True, timeout=SOX_WITHIN_S)
        return len(done.stdout) / 2 / SAMPLING_RATE if done.returncode == 0 else 0.0
    return 0.0


JUDGES: dict[str, Callable[[File, Path], float]] = {"FFmpeg": by_ffmpeg, "libsndfile": by_libsndfile, "SoX": by_sox}


def ours(data: bytes) -> FloatArray | str:
    """The signal, or the reason why there is none."""
    try:
        return decode(data, max_s=60.0, min_s=0.1).signal
    except Poison as poison:
        return poison.reason


def likeness(signal: FloatArray, recording: FloatArray) -> float:
    """Correlation of a signal's part with the recording at the lag, up to 0.2 s, at which it is largest."""
    n = min(len(signal), len(recording))
    size = fft.next_fast_len(2 * n)
    one, other = signal[:n] - signal[:n].mean(), recording[:n] - recording[:n].mean()
    products = fft.irfft(fft.rfft(one, size) * np.conj(fft.rfft(other, size)), size)
    lags = SAMPLING_RATE // 5
    return float(np.abs(np.r_[products[:lags], products[-lags:]]).max() / (np.linalg.norm(one) * np.linalg.norm(other)))


def fault(file: File, recording: FloatArray, readings: dict[str, float]) -> str:
    """What is wrong with our reading of a file, empty if nothing is. readings: seconds, of each judge."""
    got, whole_s = ours(file.data), file.holds * len(recording) / SAMPLING_RATE
    got_s = 0.0 if isinstance(got, str) else len(got) / SAMPLING_RATE
    if not isinstance(got, str):
        if file.holds == 0 or abs(got_s - whole_s) > SAME_S * max(file.holds, 1):
            return f"read {got_s:.2f} s of {whole_s:.2f} s in silence"
        parts = np.array_split(got, file.holds)
        if min(likeness(part, recording) for part in parts) < 0.8:
            return "read something else than what was recorded"
    elif file.holds and any(abs(seconds - whole_s) <= SAME_S for seconds in readings.values()):
        return f"refused ({got}) what a judge reads whole"
    others = [name for name, seconds in readings.items() if abs(seconds - got_s) > SAME_S * max(file.holds, 1)]
    if others and not explanation(file):
        return f"{got_s:.2f} s here, {readings} there, and nothing says why"
    return ""


def explanation(file: File) -> str:
    """Why judges may disagree about a file; empty if nothing is known."""
    found = (
        why
        for container, change, why in DISAGREEMENTS
        if fnmatch(file.container, container) and fnmatch(file.change, change)
    )
    return next(found, "")


NAMES = sorted(containers(spoken(0.5)))


@pytest.mark.parametrize("container", NAMES)
def test_nothing_is_read_in_part_and_what_judges_read_whole_is_not_refused_in_silence(
    container: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if shutil.which("sox") is None:
        pytest.skip("SoX is not installed: `make servers` installs it")
    faults = []
    for seed in range(request.config.getoption("--voices")):
        recording = spoken(SECONDS, seed)
        whole, *changed = recorded(container, containers(recording)[container])
        judges = {name: judge for name, judge in JUDGES.items() if judge(whole, tmp_path) > 0.0}
        assert judges, "no judge reads this container"
        for file in (whole, *changed):
            readings = {name: judge(file, tmp_path) for name, judge in judges.items()}
            if problem := fault(file, recording, readings):
                faults.append(f"{container}, {file.change}, voice {seed}: {problem}")
    assert not faults, "\n".join(faults)


def test_every_disagreement_of_the_table_is_about_a_change_that_is_made() -> None:
    changes = {file.change for name, data in containers(spoken(0.5)).items() for file in recorded(name, data)}
    assert [change for _, change, _ in DISAGREEMENTS if not any(fnmatch(each, change) for each in changes)] == []
