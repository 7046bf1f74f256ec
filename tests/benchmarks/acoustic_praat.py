"""Our markers beside Praat's, on real speech: `python -m tests.benchmarks.acoustic_praat`, about 6 minutes on one core.

Writes `results/acoustic_praat.md` and `.png`. Needs the folder of real speech (UNDERTONE_SHARED, or `shared` beside the
project). What was chosen, was chosen on one half of the speakers; the other half is what the agreement is reported on.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import parselmouth
import soundfile
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from parselmouth.praat import call
from scipy.stats import spearmanr

from schemas.events import FloatArray
from schemas.markers import MARKERS
from tests.benchmarks.acoustic import RESULTS, real_speech, table
from tests.benchmarks.machine import provenance
from workers.acoustic.frame_track import Track, voice_track
from workers.acoustic.markers import MEASURES, SURE_MATCH, Measured, jitter, shimmer
from workers.acoustic.opensmile_configuration import HOP_S
from workers.acoustic.opensmile_pass import acoustic_pass
from workers.audio.memo import SAMPLING_RATE

CEILINGS_HZ = (600.0, 500.0)
COMPARED = ("jitter", "shimmer", "hnr")
CHOICES = (0.0, 0.3, 0.5, 0.7, 0.8)
"""Of the least match of two neighbouring pulses, `SURE_MATCH`."""
RESAMPLES = 1000
Values = Mapping[str, float]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip, by us and by Praat. chosen: jitter and shimmer by us at every one of CHOICES."""

    corpus: str
    speaker: str
    ours: Values
    theirs: Values
    choices: Sequence[Values]


def main() -> None:
    """Measure every clip; write the tables and the plot."""
    clips = [
        _clip(soundfile.read(path, dtype="float32")[0], row["corpus"], row["speaker"]) for path, row in real_speech()
    ]
    if not clips:
        sys.exit("no real speech: put it into shared/audio next to the project, or its folder into UNDERTONE_SHARED")
    first, second = halves(clips)
    parts = [
        "# Acoustic markers and Praat's",
        provenance("python -m tests.benchmarks.acoustic_praat"),
        f"Praat {parselmouth.PRAAT_VERSION}, its standard settings: To Pitch 0, 75, 600; To PointProcess (periodic, "
        "cc) 75, 600; jitter (local) and shimmer (local) at 0.0001, 0.02, 1.3, 1.6; To Harmonicity (cc) 0.01, 75, 0.1, "
        "1.0, mean.",
        *_agreement(second),
        *_choice(first),
        "## All clips",
        _rows(clips),
    ]
    (RESULTS / "acoustic_praat.md").write_text("\n\n".join(parts) + "\n")
    _plot(second)
    sys.stdout.write((RESULTS / "acoustic_praat.md").read_text())


def halves(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Every second speaker of each corpus, in the order of their names, and the others."""
    speakers = {
        corpus: sorted({c.speaker for c in clips if c.corpus == corpus}) for corpus in {c.corpus for c in clips}
    }
    even = {(corpus, name) for corpus, names in speakers.items() for name in names[::2]}
    return [c for c in clips if (c.corpus, c.speaker) in even], [c for c in clips if (c.corpus, c.speaker) not in even]


def praat(signal: FloatArray) -> Values:
    """The same markers by Praat, at its standard settings; the pitch median at both of CEILINGS_HZ."""
    sound = parselmouth.Sound(signal.astype(np.float64), SAMPLING_RATE)
    points = call(sound, "To PointProcess (periodic, cc)", 75, 600)
    harmonicity = call(sound, "To Harmonicity (cc)", 0.01, 75, 0.1, 1.0)
    medians = {
        f"pitch_median {ceiling:.0f}": call(call(sound, "To Pitch", 0, 75, ceiling), "Get quantile", 0, 0, 0.5, "Hertz")
        for ceiling in CEILINGS_HZ
    }
    return medians | {
        "jitter": call(points, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3),
        "shimmer": call([sound, points], "Get shimmer (local)", 0, 0, 0.0001, 0.02, 1.3, 1.6),
        "hnr": call(harmonicity, "Get mean", 0, 0),
    }


def _clip(signal: FloatArray, corpus: str, speaker: str) -> Clip:
    track = voice_track(signal, acoustic_pass(signal).lld, HOP_S)
    ours = {marker.name: _number(MEASURES[marker.name].measure(track)) for marker in MARKERS}
    return Clip(corpus, speaker, ours, praat(signal), [_at(track, least) for least in CHOICES])


def _at(track: Track, least_match: float) -> Values:
    return {"jitter": _number(jitter(track, least_match)), "shimmer": _number(shimmer(track, least_match))}


def _number(measured: Measured) -> float:
    return np.nan if isinstance(measured, str) else measured


def _pairs(clips: Sequence[Clip], marker: str) -> tuple[Array, Array]:
    theirs = np.array([clip.theirs[marker] for clip in clips])
    ours = np.array([clip.ours[marker] for clip in clips])
    both = np.isfinite(theirs) & np.isfinite(ours)
    return theirs[both], ours[both]


def _rank(clips: Sequence[Clip], marker: str) -> float:
    return float(spearmanr(*_pairs(clips, marker))[0])


def _semitones(clips: Sequence[Clip], ceiling: float) -> Array:
    """How far our pitch median lies from Praat's; infinitely far where only one of the two found voice."""
    ours = np.array([clip.ours["pitch_median"] for clip in clips])
    theirs = np.array([clip.theirs[f"pitch_median {ceiling:.0f}"] for clip in clips])
    away = 12 * np.log2(ours / theirs)
    return np.where(np.isfinite(away), away, np.where(np.isnan(ours) & np.isnan(theirs), 0.0, np.inf))


def _within(clips: Sequence[Clip], ceiling: float) -> float:
    return float(np.mean(np.abs(_semitones(clips, ceiling)) < 1))


def _rows(clips: Sequence[Clip]) -> str:
    found = []
    for name in ("both", *sorted({clip.corpus for clip in clips})):
        chosen = [clip for clip in clips if name in ("both", clip.corpus)]
        within = [f"{_within(chosen, ceiling):.1%}" for ceiling in CEILINGS_HZ]
        ranks = [f"{_rank(chosen, marker):.3f}" for marker in COMPARED]
        speakers = len({(clip.corpus, clip.speaker) for clip in chosen})
        found.append(" | ".join([name, str(len(chosen)), str(speakers), *within, *ranks]))
    ceilings = " | ".join(f"pitch median within 1 semitone, ceiling {ceiling:.0f} Hz" for ceiling in CEILINGS_HZ)
    return table(f"corpus | clips | speakers | {ceilings} | ρ jitter | ρ shimmer | ρ HNR", found)


def _agreement(clips: Sequence[Clip]) -> list[str]:
    rng = np.random.default_rng(0)
    speakers = sorted({(clip.corpus, clip.speaker) for clip in clips})
    of = {speaker: [c for c in clips if (c.corpus, c.speaker) == speaker] for speaker in speakers}
    drawn = []
    for _ in range(RESAMPLES):
        again = [clip for at in rng.integers(0, len(speakers), len(speakers)) for clip in of[speakers[at]]]
        drawn.append([_within(again, CEILINGS_HZ[0]), *(_rank(again, marker) for marker in COMPARED)])
    low = np.percentile(drawn, 2.5, axis=0)
    bounds = f"pitch {low[0]:.1%}, jitter {low[1]:.3f}, shimmer {low[2]:.3f}, HNR {low[3]:.3f}"
    medians = [f"{m} {np.median(t):.3g} / {np.median(o):.3g}" for m in COMPARED for t, o in [_pairs(clips, m)]]
    note = (
        f"Lower ends of the 95 % intervals over {RESAMPLES} draws of the speakers: {bounds}. "
        f"Praat's median / ours: {', '.join(medians)} (shimmer: share / dB; HNR: mean of all frames / median of voice)."
    )
    return ["## Agreement, on the speakers that nothing was chosen on", _rows(clips), note]


def _choice(clips: Sequence[Clip]) -> list[str]:
    rows = []
    for at, least in enumerate(CHOICES):
        ranks = []
        for marker in ("jitter", "shimmer"):
            theirs = np.array([clip.theirs[marker] for clip in clips])
            ours = np.array([clip.choices[at][marker] for clip in clips])
            both = np.isfinite(theirs) & np.isfinite(ours)
            ranks.append(f"{spearmanr(theirs[both], ours[both])[0]:.3f}")
        rows.append(f"{least}{' (in use)' if least == SURE_MATCH else ''} | {' | '.join(ranks)}")
    note = (
        "Pitch and voicing have Praat's published defaults, and so have the limits on period and amplitude steps; none "
        "was fitted. The one value chosen by looking at agreement is the least match of neighbouring pulses, here on "
        f"the other half: {len(clips)} clips of {len({(c.corpus, c.speaker) for c in clips})} speakers."
    )
    return ["## What was chosen", note, table("least match | ρ jitter | ρ shimmer", rows)]


def _plot(clips: Sequence[Clip]) -> None:
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(figure.subplots(1, 4))
    for plot, marker in zip(panels, (f"pitch_median {CEILINGS_HZ[0]:.0f}", *COMPARED), strict=True):
        for corpus in sorted({clip.corpus for clip in clips}):
            chosen = [clip for clip in clips if clip.corpus == corpus]
            theirs = [clip.theirs[marker] for clip in chosen]
            plot.plot(theirs, [clip.ours[marker.split()[0]] for clip in chosen], ".", markersize=4, label=corpus)
        plot.set_title(marker.split()[0], fontsize=10)
        plot.set_xlabel("Praat", fontsize=9)
    panels[0].set_ylabel("Undertone", fontsize=9)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(RESULTS / "acoustic_praat.png", dpi=80)


if __name__ == "__main__":
    main()
