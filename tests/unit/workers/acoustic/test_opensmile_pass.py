import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import opensmile
import pytest
import soundfile

from schemas.errors import ConfigurationError, Poison
from schemas.events import FloatArray
from tests.unit.workers.acoustic.voices import buzz, noise, silence
from workers.acoustic import opensmile_pass
from workers.acoustic.feature_names import FUNCTIONAL_NAMES, LLD_NAMES, MFCC_NAMES
from workers.acoustic.opensmile import resampling
from workers.acoustic.opensmile.graph import configuration, parse
from workers.acoustic.opensmile_configuration import CONFIGURATION, packaged
from workers.acoustic.opensmile_pass import PACING, SHORTEST_S, acoustic_pass, sink_names
from workers.audio.memo import SAMPLING_RATE


def stock(level: opensmile.FeatureLevel) -> opensmile.Smile:
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, level)


def clips(shared: Path, count: int) -> list[FloatArray]:
    """Clips spread evenly over the corpora and speakers."""
    with (shared / "audio" / "manifest.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file) if float(row["duration_s"]) < 2.5]
    chosen = paths[:: max(1, len(paths) // count)][:count]
    return [soundfile.read(shared / "audio" / path, dtype="float32")[0] for path in chosen]


def test_our_names_are_opensmiles_own() -> None:
    frames, functionals = sink_names()
    assert frames == LLD_NAMES + MFCC_NAMES
    assert functionals == FUNCTIONAL_NAMES
    assert tuple(stock(opensmile.FeatureLevel.LowLevelDescriptors).feature_names) == LLD_NAMES


@pytest.mark.parametrize("signal", [buzz(120, 1.0), noise(1.0), silence(1.0)], ids=["voice", "noise", "silence"])
def test_one_pass_gives_what_two_stock_passes_give(signal: FloatArray) -> None:
    found = acoustic_pass(signal)
    functionals = stock(opensmile.FeatureLevel.Functionals)(signal, SAMPLING_RATE)[0, :, 0]
    lld = stock(opensmile.FeatureLevel.LowLevelDescriptors)(signal, SAMPLING_RATE)[0].T
    np.testing.assert_allclose(found.functionals, functionals, rtol=1e-6)
    np.testing.assert_allclose(found.lld, lld, rtol=1e-6)


def test_mfccs_are_compares() -> None:
    signal = buzz(180, 0.6) + noise(0.6, 0.01)
    compare = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
    table = compare.process_signal(signal, SAMPLING_RATE)
    theirs = table[[f"mfcc_sma[{i}]" for i in range(1, 14)]].to_numpy()
    ours = acoustic_pass(signal).mfcc
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-4)


@pytest.mark.shared
def test_mfccs_are_compares_on_real_clips(shared: Path) -> None:
    compare = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
    columns = [list(compare.feature_names).index(f"mfcc_sma[{i}]") for i in range(1, 14)]
    for signal in clips(shared, 8):
        theirs, ours = compare(signal, SAMPLING_RATE)[0][columns].T, acoustic_pass(signal).mfcc
        assert 0 <= len(theirs) - len(ours) <= 4, "theirs go on where 60 ms for pitch are no longer left"
        np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-3)


@pytest.mark.shared
def test_functionals_are_stock_on_a_hundred_real_clips(shared: Path) -> None:
    whole = stock(opensmile.FeatureLevel.Functionals)
    chosen = clips(shared, 100)
    assert len(chosen) == 100
    for signal in chosen:
        np.testing.assert_allclose(acoustic_pass(signal).functionals, whole(signal, SAMPLING_RATE)[0, :, 0], rtol=1e-3)


def test_full_scale_is_clipped_rather_than_wrapped() -> None:
    loud = buzz(120, 1.0, level=1.0)
    peak = np.full(8, 1.0, np.float32)
    with_peak = acoustic_pass(np.concatenate([loud, peak, loud])).functionals
    below = acoustic_pass(np.concatenate([loud, peak * 0.999, loud])).functionals
    np.testing.assert_allclose(with_peak, below, rtol=0.05, atol=0.05)


def test_a_memo_too_short_for_a_frame_is_poison() -> None:
    shortest = round(SHORTEST_S * SAMPLING_RATE)
    assert len(acoustic_pass(noise(SHORTEST_S)).lld) > 0
    with pytest.raises(Poison, match="acoustic:too_short"):
        acoustic_pass(noise(1.0)[: shortest - SAMPLING_RATE // 100])
    with pytest.raises(Poison, match="acoustic:too_short"):
        acoustic_pass(silence(0.0))


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    acoustic_pass(buzz(120, 0.5))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_long_memo_is_fed_as_it_is_worked_on_and_nothing_is_lost() -> None:
    # Longer than what is given ahead, and no multiple of it.
    signal = np.concatenate([buzz(120, 23.0), noise(8.37), buzz(210, 2.0)])
    found = acoustic_pass(signal)
    np.testing.assert_allclose(
        found.functionals, stock(opensmile.FeatureLevel.Functionals)(signal, SAMPLING_RATE)[0, :, 0], rtol=1e-6
    )
    assert len(found.lld) == stock(opensmile.FeatureLevel.LowLevelDescriptors)(signal, SAMPLING_RATE).shape[2]


@pytest.mark.parametrize("samples", [319, 320, 321, 479, 480, 959, 960, 961, 1120, 160_001, 16_000 * 16])
def test_any_length_ends(samples: int) -> None:
    signal = np.resize(buzz(140, 2.0), samples)
    if samples < SHORTEST_S * SAMPLING_RATE:
        with pytest.raises(Poison, match="acoustic:too_short"):
            acoustic_pass(signal)
    else:
        frames = stock(opensmile.FeatureLevel.LowLevelDescriptors)(signal, SAMPLING_RATE).shape[2]
        assert len(acoustic_pass(signal).frames) == frames


@pytest.fixture
def none_ready() -> Iterator[None]:
    """Every pass of the test is the first of a process, and leaves nothing to others."""
    opensmile_pass._READY.clear()
    yield
    opensmile_pass._READY.clear()


@pytest.mark.usefixtures("none_ready")
def test_a_pass_depends_on_nothing_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = [buzz(120, 0.5), noise(0.7), silence(1.3), noise(SHORTEST_S), buzz(210, 12.0), 0.001 * noise(3.1)]
    with monkeypatch.context() as patched:
        patched.setattr(opensmile_pass, "_LONGEST_REUSED_S", 0)
        fresh = [acoustic_pass(signal) for signal in signals]
    for number in np.random.default_rng(3).permutation(2 * len(signals)) % len(signals):
        with pytest.raises(Poison):
            acoustic_pass(signals[number][:300])
        again = acoustic_pass(signals[number])
        assert np.array_equal(fresh[number].functionals, again.functionals)
        assert np.array_equal(fresh[number].frames, again.frames)


@pytest.mark.usefixtures("none_ready")
def test_what_runs_gives_the_values_of_the_whole_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = [buzz(120, 0.5), noise(0.7), silence(1.3), noise(SHORTEST_S), buzz(55, 12.3), 0.001 * noise(3.1)]
    found = [acoustic_pass(signal) for signal in signals]
    files = {option: path.read_text() for option, path in packaged().items()}
    whole = {**parse(CONFIGURATION.read_text(), files, {"sampleRate": SAMPLING_RATE}), **PACING}
    monkeypatch.setattr(opensmile_pass, "_running", lambda: configuration(whole))
    monkeypatch.setattr(resampling, "SAME_BITS", False)
    opensmile_pass._READY.clear()
    for signal, ours in zip(signals, found, strict=True):
        assert np.array_equal(ours.functionals, acoustic_pass(signal).functionals)
        assert np.array_equal(ours.frames, acoustic_pass(signal).frames)


@pytest.mark.usefixtures("none_ready")
def test_opensmile_is_made_once_and_given_up_after_a_long_memo(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    anew = opensmile_pass._initialised

    def counted() -> object:
        made.append(anew())
        return made[-1]

    monkeypatch.setattr(opensmile_pass, "_initialised", counted)
    monkeypatch.setattr(opensmile_pass, "_LONGEST_REUSED_S", 1)
    for seconds in (0.5, 0.9, 1.1, 0.5):
        acoustic_pass(noise(seconds))
    assert len(made) == 2


@pytest.mark.usefixtures("none_ready")
def test_a_folder_may_bear_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Jürgens Ordner"
    folder.mkdir()
    (folder / "onepass.conf").write_bytes(CONFIGURATION.read_bytes())
    monkeypatch.setattr(opensmile_pass, "CONFIGURATION", folder / "onepass.conf")
    assert len(acoustic_pass(noise(0.1)).lld) > 0


@pytest.mark.usefixtures("none_ready")
def test_a_configuration_that_cannot_be_used_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opensmile_pass, "CONFIGURATION", tmp_path / "missing.conf")
    with pytest.raises(ConfigurationError, match="openSMILE"):
        acoustic_pass(noise(0.1))
