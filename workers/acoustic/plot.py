"""Plot a memo on one page: waveform, pitch, loudness, pauses and creak over time, with a table of the markers."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from schemas.events import FloatArray, Quality
from schemas.markers import MARKERS
from workers.acoustic.frame_track import HALF_FRAME_S, Track, voice_track
from workers.acoustic.markers import MarkerValues, markers
from workers.acoustic.opensmile_configuration import HOP_S
from workers.acoustic.opensmile_pass import acoustic_pass
from workers.acoustic.speech_activity import Runs, pauses, runs
from workers.audio.memo import SAMPLING_RATE

INK, FAINT, VOICE, LOUD, PAUSE, CREAK, DOUBT = (
    "#1f2933",
    "#7b8794",
    "#20639b",
    "#3caea3",
    "#e4e7eb",
    "#f6a35c",
    "#b44d12",
)
COLUMNS = 1600
"""The waveform is drawn as the extremes of this many segments."""

CROWDED_S = 20.0
"""Memos longer than this are drawn with finer lines."""
LEAP_ST = 4.0
"""The pitch line is broken at a jump of more than this many semitones in one frame."""

PITCH_TICKS_HZ = (50, 75, 100, 150, 200, 300, 400, 600)
GROUPS = (
    ("Pitch", ("pitch_median", "pitch_range", "pitch_sd")),
    ("Voice quality", ("jitter", "shimmer", "hnr", "creak_share")),
    ("Timing", ("pause_share", "pause_rate", "pause_mean", "pause_longest", "voiced_rate")),
    ("Loudness", ("loudness_sd",)),
)
LABELS = {
    "pitch_median": ("median", "Hz", 1.0, 0),
    "pitch_range": ("range, P5–P95", "semitones", 1.0, 1),
    "pitch_sd": ("SD", "semitones", 1.0, 1),
    "jitter": ("jitter", "%", 100.0, 2),
    "shimmer": ("shimmer", "dB", 1.0, 2),
    "hnr": ("harmonics to noise", "dB", 1.0, 1),
    "creak_share": ("creak, share of voice", "%", 100.0, 0),
    "pause_share": ("pauses, share of time", "%", 100.0, 0),
    "pause_rate": ("pauses", "per min", 1.0, 0),
    "pause_mean": ("mean pause", "s", 1.0, 2),
    "pause_longest": ("longest pause", "s", 1.0, 2),
    "voiced_rate": ("voiced segments", "per s", 1.0, 1),
    "loudness_sd": ("SD, share of mean", "%", 100.0, 0),
}
"""Marker: label, displayed unit, factor from the marker's own unit, decimals."""


NO_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType({})
REASONS = {
    "no_voiced_frames": "no voice",
    "no_periods": "too little voice",
    "no_speech": "no speech",
    "no_pause": "no pause",
}
"""Reasons for a missing value, as displayed."""


def plot_features(
    path: Path,
    signal: FloatArray,
    title: str = "",
    quality: Quality | None = None,
    usual: Mapping[str, tuple[float, float]] = NO_RANGES,
) -> None:
    """Plot a memo's acoustic features to `path`, in the format of its suffix.

    signal: (samples,) float32, mono, at SAMPLING_RATE; quality: shown below the title, and its fragile markers flagged;
    usual: ranges of a population by marker, shown below the values.
    Does not touch matplotlib's global state. Raises what `acoustic_pass` raises, OSError when `path` is not writable.
    """
    found = acoustic_pass(signal)
    track = voice_track(signal, found.lld, HOP_S)
    figure = Figure(figsize=(13.5, 7.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 2, width_ratios=(3.6, 1), height_ratios=(1, 1.6, 1))
    wave = figure.add_subplot(grid[0, 0])
    rows = [wave, figure.add_subplot(grid[1, 0], sharex=wave), figure.add_subplot(grid[2, 0], sharex=wave)]
    _waveform(rows[0], signal)
    _pitch(rows[1], track)
    _loudness(rows[2], track)
    for axes in rows:
        _shade(axes, pauses(track.speech, HOP_S), PAUSE, 1.0)
        _shade(axes, runs(track.creak), CREAK, 0.45)
        _simplify(axes)
    _legend(rows[0])
    rows[0].set_xlim(0, len(signal) / SAMPLING_RATE)
    rows[2].set_xlabel("time (s)", color=INK)
    for axes in rows[:2]:
        axes.tick_params(labelbottom=False)
    _table(figure.add_subplot(grid[:, 1]), markers(track), quality.fragile if quality else (), usual)
    figure.suptitle(title or "Voice memo", x=0.01, ha="left", color=INK, fontsize=14, fontweight="bold")
    rows[0].set_title(_recording(len(signal) / SAMPLING_RATE, quality), loc="left", color=FAINT, fontsize=10, pad=26)
    figure.savefig(path, dpi=120)


def _recording(duration_s: float, quality: Quality | None) -> str:
    """One line about the recording."""
    parts = [f"{duration_s:.1f} s"]
    if quality is not None:
        if quality.speech_s:
            parts += [f"{quality.speech_s:.1f} s of speech", f"SNR {quality.snr_db:.0f} dB"]
        if quality.bandwidth_hz:
            parts.append(f"bandwidth {quality.bandwidth_hz / 1000:.1f} kHz")
        parts += [reason.removeprefix("quality:").replace("_", " ") for reason in quality.reasons]
    return "   ·   ".join(parts)


def _moments(track: Track) -> FloatArray:
    return np.asarray(np.arange(len(track.loudness)) * HOP_S + HALF_FRAME_S, np.float32)


def _waveform(axes: Axes, signal: FloatArray) -> None:
    edges = np.linspace(0, len(signal), min(COLUMNS, len(signal)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(signal, edges), np.maximum.reduceat(signal, edges)
    axes.fill_between(edges / SAMPLING_RATE, low, high, color=INK, linewidth=0.3, step="post")
    limit = 1.1 * max(float(np.abs(signal).max(initial=0.0)), 1e-3)
    axes.set_ylim(-limit, limit)
    axes.set_ylabel("waveform", color=INK)


def _pitch(axes: Axes, track: Track) -> None:
    hertz = np.where(track.modal, track.pitch_hz, np.nan)
    fine = float(np.clip(CROWDED_S / (len(hertz) * HOP_S + 1e-9), 0.3, 1.0)) ** 0.5
    axes.set_yscale("log")
    low, high = _pitch_limits(hertz)
    axes.set_ylim(low, high)
    ticks = [tick for tick in PITCH_TICKS_HZ if low <= tick <= high]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    steps = 12 * np.abs(np.diff(np.log2(hertz), prepend=np.nan))
    axes.plot(_moments(track), hertz, color=VOICE, linestyle="none", marker=".", markersize=4 * fine)
    axes.plot(_moments(track), np.where(steps < LEAP_ST, hertz, np.nan), color=VOICE, linewidth=2.0 * fine)
    if not np.isfinite(hertz).any():
        axes.text(0.5, 0.5, "no voice found", transform=axes.transAxes, color=FAINT, ha="center", va="center")
    else:
        axes.axhline(float(np.nanmedian(hertz)), color=VOICE, linewidth=0.8, linestyle=(0, (4, 4)), alpha=0.7)
    axes.set_ylabel("pitch (Hz)", color=INK)


def _pitch_limits(hertz: FloatArray) -> tuple[float, float]:
    voiced = hertz[np.isfinite(hertz)]
    if not voiced.size:
        return 50.0, 400.0
    low, high = np.percentile(voiced, [1, 99])
    return float(max(low / 1.3, 40.0)), float(max(high * 1.3, 2 * low))


def _loudness(axes: Axes, track: Track) -> None:
    axes.fill_between(_moments(track), track.loudness, color=LOUD, alpha=0.85, linewidth=0)
    axes.set_ylim(0, 1.1 * max(float(track.loudness.max(initial=0.0)), 0.1))
    axes.set_ylabel("loudness", color=INK)


def _shade(axes: Axes, stretches: Runs, colour: str, alpha: float) -> None:
    for start, end in zip(stretches.starts, stretches.ends, strict=True):
        axes.axvspan(start * HOP_S, end * HOP_S, color=colour, alpha=alpha, linewidth=0, zorder=0)


def _legend(axes: Axes) -> None:
    entries = [
        Patch(color=PAUSE, label="pause of 0.25 s or more"),
        Patch(color=CREAK, alpha=0.45, label="creak (vocal fry)"),
        Line2D([], [], color=VOICE, linewidth=2, label="pitch"),
        Line2D([], [], color=VOICE, linewidth=0.8, linestyle=(0, (4, 4)), label="its median"),
    ]
    axes.legend(handles=entries, loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=9)


def _simplify(axes: Axes) -> None:
    """Hide all decoration that the data do not need."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.set_axisbelow(True)


def _table(
    axes: Axes, values: MarkerValues, fragile: Collection[str], usual: Mapping[str, tuple[float, float]]
) -> None:
    axes.set_axis_off()
    by_name = {marker.name: float(value) for marker, value in zip(MARKERS, values.values, strict=True)}
    reasons = dict(entry.split(":", 1) for entry in values.undefined)
    row = 0.0
    for group, names in GROUPS:
        axes.text(0.0, 1 - row, group, transform=axes.transAxes, color=VOICE, fontsize=11, fontweight="bold", va="top")
        row += 0.042
        for name in names:
            label, unit, factor, decimals = LABELS[name]
            shown = f"{by_name[name] * factor:.{decimals}f} {unit}" if name not in reasons else _words(reasons[name])
            colour, mark = (DOUBT, "*") if name in fragile and name not in reasons else (INK, "")
            axes.text(0.03, 1 - row, label + mark, transform=axes.transAxes, color=colour, fontsize=10, va="top")
            axes.text(1.0, 1 - row, shown, transform=axes.transAxes, color=colour, fontsize=10, va="top", ha="right")
            if name in usual:
                place: dict[str, Any] = {
                    "transform": axes.transAxes,
                    "color": FAINT,
                    "fontsize": 8,
                    "va": "top",
                    "ha": "right",
                }
                axes.text(1.0, 1 - row - 0.024, usual_words(name, *usual[name]), **place)
            row += 0.052 if usual else 0.046
        row += 0.014
    foot = ["Descriptive. Not a diagnosis."]
    if usual:
        foot.insert(0, "usual: 8 of 10 memos that the model learned from")
    if any(name in fragile for name in by_name if name not in reasons):
        doubt = "* this recording's noise or narrow band may have moved it"
        axes.text(0.0, 0.045, doubt, transform=axes.transAxes, color=DOUBT, fontsize=8, va="bottom")
    axes.text(0.0, 0.0, "\n".join(foot), transform=axes.transAxes, color=FAINT, fontsize=8, va="bottom")


def usual_words(name: str, low: float, high: float) -> str:
    """A range in the unit that the table shows; no marker but the ratio to noise is below zero.

    >>> usual_words("pause_share", 0.118, 0.342)
    'usual 12 to 34 %'
    """
    _, unit, factor, decimals = LABELS[name]
    least = low if name == "hnr" else max(low, 0.0)
    return f"usual {least * factor:.{decimals}f} to {high * factor:.{decimals}f} {unit}"


def _words(reason: str) -> str:
    return f"– ({REASONS.get(reason, reason)})"
