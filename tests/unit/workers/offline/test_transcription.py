"""Words of files by a small encoder with a CTC head, whose weights are drawn: its words mean nothing."""

from pathlib import Path

import numpy as np
import pytest

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from schemas.settings import Settings
from tests.audio_files import sndfile, spoken
from tests.unit.workers.text.vocabularies import TOKENS, checkpoint_folder
from workers.audio.memo import SAMPLING_RATE
from workers.offline.transcription import frame_firsts, head_vocabulary, transcribe_file
from workers.text.transcript import Transcript, decode
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.stage import EmbeddingStage

WINDOW_S = 2.0
SILENCE_S = 4.0


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = checkpoint_folder(tmp_path_factory.mktemp("checkpoint"))
    return Settings(encoder=str(folder), window_s=WINDOW_S)


@pytest.fixture(scope="module")
def signal() -> FloatArray:
    return spoken()


def transcribed(signal: FloatArray, path: Path, settings: Settings) -> Transcript:
    path.write_bytes(sndfile(signal, subtype="FLOAT"))
    return transcribe_file(path, head_vocabulary(settings), settings)


def test_words_are_those_of_the_head_s_logits(signal: FloatArray, tmp_path: Path, settings: Settings) -> None:
    transcript = transcribed(signal, tmp_path / "memo.wav", settings)
    stage = EmbeddingStage.from_settings(settings)
    frames = stage.embedder.embed_logits([stage.heard(signal)])[0].frames
    assert frames is not None
    expected = decode(frames, head_vocabulary(settings), np.arange(len(frames)) * 0.02, 0.02)
    assert transcript.texts == expected.texts
    assert len(transcript.words) > 10
    assert transcript.log_probability == pytest.approx(expected.log_probability, abs=1e-3)
    for ours, theirs in zip(transcript.words, expected.words, strict=True):
        # Each window of two seconds has one frame fewer than its length has hops.
        windows = int(theirs.begin_s / (WINDOW_S - 0.02))
        assert ours.begin_s == pytest.approx(theirs.begin_s + 0.02 * windows, abs=0.021)


def test_times_are_those_of_the_recording_where_its_silence_is_cut(
    signal: FloatArray, tmp_path: Path, settings: Settings
) -> None:
    quiet = np.zeros(round(SILENCE_S * SAMPLING_RATE), np.float32)
    late = transcribed(np.concatenate([quiet, signal]), tmp_path / "late.wav", settings)
    duration_s = SILENCE_S + len(signal) / SAMPLING_RATE
    assert late.words[0].begin_s >= SILENCE_S - 1.1
    assert all(0 <= each.begin_s < each.end_s <= duration_s + 0.02 for each in late.words)
    assert late.words[-1].begin_s > SILENCE_S + 0.8 * len(signal) / SAMPLING_RATE


def test_a_frame_begins_where_its_window_and_its_hop_say() -> None:
    config = EncoderConfig()
    window = 2 * SAMPLING_RATE
    counts = np.array([config.frames(window), config.frames(window), config.frames(8000)])
    firsts = frame_firsts(counts, window, config.hop)
    assert len(firsts) == counts.sum()
    assert firsts[counts[0]] == window
    assert firsts[counts[:2].sum()] == 2 * window
    assert np.diff(firsts).max() <= config.hop + config.receptive_field


def test_an_encoder_without_a_head_is_refused_by_name(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path, head=False)
    with pytest.raises(ConfigurationError, match="no CTC head"):
        head_vocabulary(Settings(encoder=str(folder)))
    with pytest.raises(ConfigurationError, match="no CTC head"):
        head_vocabulary(Settings())  # the shipped bundle's


def test_the_vocabulary_of_a_head_on_the_hub_is_fetched_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint_folder(tmp_path)
    asked: list[tuple[str, str | None, bool, bool]] = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, "vocab.json" in allow_patterns, "config.json" in allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert head_vocabulary(Settings(encoder="some/head@abc")).tokens == TOKENS
    assert asked == [("some/head", "abc", False, True), ("some/head", "abc", True, False)]


def test_a_head_without_a_vocabulary_is_refused_by_name(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path)
    (folder / "vocab.json").unlink()
    with pytest.raises(ConfigurationError, match=r"no vocab\.json"):
        head_vocabulary(Settings(encoder=str(folder)))
