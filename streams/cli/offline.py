"""`undertone score` and `undertone features`: without a broker."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from schemas.settings import Settings

from schemas.events import Modality
from streams.cli.load_settings import load_settings
from streams.terminal.files import audio_files

PLOT_SUFFIXES = (".png", ".svg", ".pdf")

NAMED = 3
"""Markers in a line of text; JSON has all of the evidence."""

Paths = Annotated[list[Path], typer.Argument(help="Audio files, or folders of them.")]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(score)
    app.command()(features)


def score(
    paths: Paths,
    one_person: Annotated[
        bool,
        typer.Option("--one-person", help="All memos are of one person, oldest first (in a folder, by file name)."),
    ] = False,
    modality: Annotated[
        Modality | None, typer.Option(help="Only this one; a bundle that needs both then abstains.")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per file.")] = False,
) -> None:
    """Score files, each as the first memo of an unknown person, or with --one-person against the memos before it.

    The evidence is what moved the score most: what each marker adds to its logit (before calibration), and how far it
    deviates from the baseline, which is the population's, or the person's own as memos add up. The shipped model is a
    demonstration.
    """
    from rich.progress import track

    from streams.cli.tensorflow_quiet import import_tensorflow_for

    settings = load_settings()
    if modality is not None:
        settings = settings.model_copy(update={"modalities": (modality,)})
    import_tensorflow_for(settings.modalities, settings.bundle)
    from schemas.json_records import json_line
    from streams.local.offline import score_files, score_in_turn
    from workers.service.terminal import escaped

    files = audio_files(paths)
    failed = False
    lines = (score_in_turn if one_person else score_files)(settings, files)
    for line in track(lines, "scoring", total=len(files), disable=not _watched(files), console=_console()):
        failed |= "error" in line
        print(json_line(line) if json_lines else escaped(_sentence(line)), flush=True)
    raise typer.Exit(1 if failed else 0)


def features(
    paths: Paths,
    out: Annotated[Path | None, typer.Option(help="File to write, .npz.")] = None,
    modality: Annotated[Modality | None, typer.Option(help="Only this one.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Hugging Face folder or name[@revision] instead of the bundle's encoder.")
    ] = None,
    frames: Annotated[bool, typer.Option("--frames", help="Include the embedding of every frame.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="File for a plot of one memo: voice, pauses, creak and markers.")
    ] = None,
) -> None:
    """Extract features into one .npz: STEM.functionals, .markers, .windows, .embedding_windows, .embedding_summary.

    STEM.undefined gives the reason of each NaN, as marker:reason; STEM.fragile the markers that the recording may have
    moved.
    """
    if out is None and plot is None:
        raise typer.BadParameter("give the file to write", param_hint="--out")
    files = audio_files(paths)
    if plot is not None:
        _plot(files, plot)
    if out is None:
        return
    shared = [stem for stem, count in Counter(f.stem for f in files).items() if count > 1]
    if shared:
        raise typer.BadParameter(f"several files are named {shared[0]}; their arrays would have the same name")
    settings = load_settings(**({"encoder": encoder} if encoder else {}))
    wanted = settings.modalities if modality is None else (modality,)
    if encoder and modality is None and "modalities" not in settings.model_fields_set:
        wanted = tuple(dict.fromkeys((*wanted, Modality.EMBEDDING)))
    raise typer.Exit(1 if _write_features(settings, files, out, wanted, frames=frames) else 0)


def _plot(files: list[Path], plot: Path) -> None:
    if len(files) != 1:
        raise typer.BadParameter(f"give one file to plot, not {len(files)}", param_hint="--plot")
    if plot.suffix.lower() not in PLOT_SUFFIXES:
        raise typer.BadParameter(f"give a file that ends in {', '.join(PLOT_SUFFIXES)}", param_hint="--plot")
    from schemas.errors import Poison
    from workers.acoustic.plot import plot_features
    from workers.audio.load import load_file
    from workers.service.terminal import escaped

    try:
        signal, quality = load_file(files[0], load_settings())
        plot_features(plot, signal, files[0].name, quality)
    except Poison as poison:
        print(escaped(f"{files[0]}: {poison}"), file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:
        print(escaped(f"{plot}: {error.strerror}"), file=sys.stderr)
        raise typer.Exit(1) from None


def _write_features(
    settings: "Settings", files: list[Path], out: Path, wanted: tuple[Modality, ...], *, frames: bool
) -> bool:
    import numpy as np
    from rich.progress import track

    from schemas.errors import Poison
    from streams.cli.tensorflow_quiet import import_tensorflow_for

    import_tensorflow_for(wanted)
    from streams.local.offline import arrays_of, frames_of, names_of
    from workers.offline.extraction import Extraction
    from workers.service.terminal import escaped

    failed = False
    arrays = names_of(wanted)
    with Extraction(settings, wanted) as extraction:
        results = extraction.extract(files)
        for each in track(results, "extracting", total=len(files), disable=not _watched(files), console=_console()):
            if isinstance(each.result, Poison):
                failed = True
                print(escaped(f"{each.recording}: {each.result}"), file=sys.stderr)
                continue
            arrays |= arrays_of(each.recording.stem, each.result)
            if frames and Modality.EMBEDDING in wanted:
                arrays[f"{each.recording.stem}.embedding_frames"] = frames_of(extraction, each.recording, settings)
    np.savez(out, **arrays)  # type: ignore[arg-type]  # numpy's stub takes allow_pickle for any keyword
    return failed


def _watched(files: list[Path]) -> bool:
    return len(files) > 1 and sys.stderr.isatty()


def _console() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def _sentence(line: Mapping[str, object]) -> str:
    if "error" in line:
        return f"{line['path']}: {line['error']}"
    reasons = f" ({', '.join(map(str, line['reasons']))})" if line["reasons"] else ""  # type: ignore[call-overload]
    probability = line["probability"]
    score = "no probability" if probability is None else f"probability {probability:.2f}"
    evidence: list[Mapping[str, float]] = line["evidence"]  # type: ignore[assignment]
    why = "".join(
        f", {each['name']} {each['contribution']:+.2f} logit ({each['deviation_sd']:+.1f} SD)"
        for each in evidence[:NAMED]
    )
    return f"{line['path']}: {line['band']}{reasons}, {score}, {line['duration_s']} s{why}"
