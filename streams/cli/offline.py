"""`undertone score`, `undertone features` and `undertone transcribe`: without a broker."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.settings import Settings
    from streams.terminal.json_lines import Failed, Features, Plotted, Transcribed
    from workers.text.transcript import Word

from schemas.errors import ConfigurationError, ExitCode
from schemas.events import Modality
from streams.cli.load_settings import (
    check_bundle,
    check_scoring,
    import_tensorflow_for,
    load_settings,
    with_kept_programs,
)
from streams.cli.printing import AsJson, Column, Printer, fail, printer, tracked, warn
from streams.terminal.arguments import EXTRACTED, audio_paths, encoder_source, input_file, output_file, some_path
from streams.terminal.arguments import modality as modality_named
from streams.terminal.files import audio_files, writing

PLOT_SUFFIXES = (".png", ".svg", ".pdf")

NAMED = 3
"""Markers in a line of text; JSON has all of the evidence."""

Paths = Annotated[
    list[Path],
    typer.Argument(parser=some_path, callback=audio_paths, metavar="PATHS...", help="Audio files, or folders of them."),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        parser=encoder_source,
        metavar="NAME",
        help="Hugging Face folder or name[@revision] instead of the bundle's encoder.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(score)
    app.command()(features)
    app.command()(transcribe)


def score(
    paths: Paths,
    one_person: Annotated[
        bool,
        typer.Option("--one-person", help="All memos are of one person, oldest first (in a folder, by file name)."),
    ] = False,
    modality: Annotated[
        Modality | None,
        typer.Option(
            parser=modality_named, metavar=EXTRACTED, help="Only this one; a bundle that needs both abstains."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score files, each as the first memo of an unknown person, or with --one-person against the memos before it.

    The evidence is what moved the score most: what each marker adds to its logit (before calibration), and how far it
    deviates from the baseline, which is the population's, or the person's own as memos add up. The shipped model is a
    demonstration.
    """
    settings = load_settings()
    if modality is not None:
        settings = settings.model_copy(update={"modalities": (modality,)})
    check_scoring(settings)
    import_tensorflow_for(settings, settings.modalities, settings.bundle)
    settings = with_kept_programs(settings)
    from streams.local.offline import score_files, score_in_turn

    files, output = audio_files(paths), printer(as_json)
    failed = False
    lines = (score_in_turn if one_person else score_files)(settings, files)
    for line in tracked(lines, "scoring", total=len(files)):
        failed |= "error" in line
        output.lines([line], _sentence)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def features(
    paths: Paths,
    out: Annotated[
        Path | None, typer.Option(parser=output_file(".npz"), metavar="FILE", help="File to write, .npz.")
    ] = None,
    modality: Annotated[
        Modality | None, typer.Option(parser=modality_named, metavar=EXTRACTED, help="Only this one.")
    ] = None,
    encoder: Encoder = None,
    frames: Annotated[bool, typer.Option("--frames", help="Include the embedding of every frame.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=output_file(*PLOT_SUFFIXES),
            metavar="FILE",
            help="File for a plot of one memo: voice, pauses, creak and markers.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Extract features into one .npz: STEM.functionals, .markers, .windows, .embedding_windows, .embedding_summary.

    STEM.undefined gives the reason of each NaN, as marker:reason; STEM.fragile the markers that the recording may have
    moved.
    """
    if out is None and plot is None:
        raise typer.BadParameter("give the file to write", param_hint="--out")
    files = audio_files(paths)
    if plot is not None and len(files) != 1:
        raise typer.BadParameter(f"give one file to plot, not {len(files)}", param_hint="--plot")
    shared = [stem for stem, count in Counter(f.stem for f in files).items() if count > 1]
    if shared and out is not None:
        raise typer.BadParameter(f"several files are named {shared[0]}; their arrays would have the same name")
    settings = load_settings(**({"encoder": encoder} if encoder else {}))
    wanted = settings.modalities if modality is None else (modality,)
    if encoder and modality is None and "modalities" not in settings.model_fields_set:
        wanted = tuple(dict.fromkeys((*wanted, Modality.EMBEDDING)))
    if Modality.EMBEDDING not in wanted and (frames or encoder):
        raise typer.BadParameter("only embeddings have it: leave it out, or extract them", param_hint=_unused(frames))
    if out is not None and Modality.EMBEDDING in wanted and settings.encoder is None:
        check_bundle(settings)
    output = printer(as_json)
    if plot is not None:
        _plot(files[0], plot, settings, output)
    if out is not None:
        failed = _write_features(settings, files, out, wanted, output, frames=frames)
        raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def transcribe(
    file: Annotated[Path, typer.Argument(parser=input_file, metavar="FILE", help="One audio file.")],
    encoder: Encoder = None,
    as_json: AsJson = False,
) -> None:
    """Print the words of one file with their times, as the encoder's CTC head hears them.

    The encoder needs a CTC head and its `vocab.json`, as facebook/wav2vec2-base-960h has. In another language than the
    head's own it invents words. Nothing is kept; UNDERTONE_TRANSCRIBE=off refuses this command.
    """
    settings = load_settings(**({"encoder": encoder} if encoder else {}))
    if settings.transcribe == "off":
        raise ConfigurationError(
            "UNDERTONE_TRANSCRIBE is off, so no words are shown; whoever may see them sets it to on"
        )
    if settings.encoder is None:
        check_bundle(settings)
    from schemas.errors import Poison
    from workers.offline.transcription import head_vocabulary, transcribe_file

    vocabulary = head_vocabulary(settings)
    import_tensorflow_for(settings, (Modality.EMBEDDING,))
    try:
        transcript = transcribe_file(file, vocabulary, with_kept_programs(settings))
    except Poison as poison:
        fail(f"{file}: {poison}", ExitCode.FAILED)
    output = printer(as_json)
    line: Transcribed = {
        "path": str(file),
        "words": [
            {"text": each.text, "begin_s": each.begin_s, "end_s": each.end_s, "log_probability": each.log_probability}
            for each in transcript.words
        ],
        "log_probability": transcript.log_probability,
    }
    output.data(line)
    if transcript.words:
        output.view(transcript.words, _WORD_COLUMNS)
    else:
        output.note("no words")


_WORD_COLUMNS: "Sequence[Column[Word]]" = (
    Column("begin s", lambda word: f"{word.begin_s:.2f}", right=True),
    Column("end s", lambda word: f"{word.end_s:.2f}", right=True),
    Column("log probability", lambda word: f"{word.log_probability:.2f}", right=True),
    Column("word", lambda word: word.text),
)


def _unused(frames: bool) -> str:
    return "--frames" if frames else "--encoder"


def _plot(path: Path, plot: Path, settings: "Settings", output: Printer) -> None:
    from schemas.errors import Poison
    from workers.acoustic.plot import plot_features
    from workers.audio.load import load_file
    from workers.scoring.bundle import Bundle

    try:
        signal, quality = load_file(path, settings)
    except Poison as poison:
        fail(f"{path}: {poison}", ExitCode.FAILED)
    try:
        usual = Bundle.load(settings.bundle).usual_ranges()
    except ConfigurationError as error:
        usual = {}
        warn(f"the plot has no usual ranges: {error}")
    with writing(plot):
        plot_features(plot, signal, path.name, quality, usual)
    line: Plotted = {"plot": str(plot)}
    output.lines([line], lambda each: f"plot: {each['plot']}")


def _write_features(
    settings: "Settings", files: list[Path], out: Path, wanted: tuple[Modality, ...], output: Printer, *, frames: bool
) -> bool:
    """Write one file with the arrays of all; whether a recording could not be used."""
    import numpy as np

    from schemas.errors import Poison

    import_tensorflow_for(settings, wanted)
    settings = with_kept_programs(settings)
    from streams.local.offline import arrays_of, frames_of, names_of
    from workers.offline.extraction import Extraction

    lines: list[Features | Failed] = []
    arrays = names_of(wanted)
    with Extraction(settings, wanted) as extraction:
        for each in tracked(extraction.extract(files), "extracting", total=len(files)):
            if isinstance(each.result, Poison):
                lines.append({"path": str(each.recording), "error": str(each.result)})
                warn(f"{each.recording}: {each.result}")
                continue
            found = arrays_of(each.recording.stem, each.result)
            if frames and Modality.EMBEDDING in wanted:
                found[f"{each.recording.stem}.embedding_frames"] = frames_of(extraction, each.recording, settings)
            lines.append({"path": str(each.recording), "arrays": {name: [*one.shape] for name, one in found.items()}})
            arrays |= found
    with writing(out):
        np.savez(out, **arrays)  # type: ignore[arg-type]  # numpy's stub takes allow_pickle for any keyword
    output.data(*lines)
    output.note(f"features: {out}")
    return any("error" in line for line in lines)


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
