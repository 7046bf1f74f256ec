"""Plots of memos, drawn by the command in a process of its own."""

import io
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import soundfile

from schemas.settings import Settings
from streams.web.trial import plot
from streams.web.trial.plot import Plots
from tests.unit.schemas.records import UPLOADED
from workers.audio.memo import SAMPLING_RATE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", audio_prefixes=(tmp_path.as_uri(),))


async def test_a_memo_is_drawn_once(settings: Settings, tmp_path: Path) -> None:
    voice = [0.3 * ((n * 140 // SAMPLING_RATE) % 2 - 0.5) for n in range(2 * SAMPLING_RATE)]
    file = io.BytesIO()
    soundfile.write(file, voice, SAMPLING_RATE, format="WAV")
    (tmp_path / "memo.wav").write_bytes(file.getvalue())
    uri, digest = (tmp_path / "memo.wav").as_uri(), sha256(file.getvalue()).hexdigest()
    plots, memo = Plots(settings), replace(UPLOADED, audio_uri=uri, sha256=digest)
    first = plots.start(memo)
    assert plots.start(memo) is first
    drawn = await first
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [None, b"a shopping list"])
async def test_what_cannot_be_drawn_has_no_plot(settings: Settings, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "memo.wav"
    if content is not None:
        path.write_bytes(content)
    quick = settings.model_copy(update={"audio_attempts": 1})
    assert await Plots(quick).start(replace(UPLOADED, audio_uri=path.as_uri(), sha256=None)) is None


async def test_old_plots_are_forgotten(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "KEPT", 2)
    plots = Plots(settings.model_copy(update={"audio_attempts": 1}))
    tasks = [plots.start(replace(UPLOADED, memo_id=str(number), audio_uri="file:///nowhere")) for number in range(3)]
    assert plots.start(replace(UPLOADED, memo_id="2", audio_uri="file:///nowhere")) is tasks[2]
    assert await tasks[2] is None
    assert tasks[0].cancelled()
