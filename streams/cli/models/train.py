"""`undertone train` and `undertone evaluate`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from schemas.bundle_manifest import ENCODER
from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.pipeline import MODALITIES
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Printer, printer, progress, warn
from streams.terminal.arguments import (
    EXTRACTED,
    bundle_folder,
    encoder_source,
    input_file,
    input_folder,
    output_folder,
)
from streams.terminal.arguments import modality as modality_named

if TYPE_CHECKING:
    from workers.corpora.manifest import Sample

CACHE = Path(".undertone/features")
NAMED = 10
"""Recordings named in a line of text."""
Head = Literal["logistic", "mlp", "bilstm", "transformer"]
Method = Literal["better", "temperature", "isotonic"]
Manifest = Annotated[
    Path | None,
    typer.Option(
        parser=input_file,
        metavar="FILE",
        help="CSV with path,speaker,label and optionally recorded_at,split,sex,age,corpus (undertone train --help).",
    ),
]
DaicWoz = Annotated[
    Path | None,
    typer.Option(parser=input_folder, metavar="FOLDER", help="Folder of DAIC-WOZ or E-DAIC as distributed."),
]
Cache = Annotated[
    Path, typer.Option(parser=output_folder, metavar="FOLDER", help="Folder that caches features between runs.")
]


TRAIN_HELP = """Train a bundle on labelled recordings, and report its figures on held-out speakers.

--manifest names a CSV file. Its first line names the columns, in any order:

\b
path         a recording; relative to the CSV file
speaker      any name, the same for all recordings of one person
label        1: positive class, 0: negative class, or a probability
recorded_at  optional: ISO 8601; baselines then use earlier memos only
split        optional: train (also if empty), dev or test, per speaker
sex, age, corpus
             optional: subgroups of the figures

\b
path,speaker,label,recorded_at
anna/monday.wav,anna,0,2026-05-04T08:30:00Z
anna/friday.wav,anna,1,2026-05-08T08:30:00Z

Training needs 4 speakers or more, and recordings of either label from at least 2 of them. Then score with it:
UNDERTONE_BUNDLE=OUT undertone score memo.wav
"""


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command(help=TRAIN_HELP)(train)
    app.command()(evaluate)


def train(
    out: Annotated[Path, typer.Option(parser=output_folder, metavar="FOLDER", help="Folder for the bundle.")],
    manifest: Manifest = None,
    daic_woz: DaicWoz = None,
    head: Annotated[Head, typer.Option(help="Figures of logistic, the default, are reported too.")] = "logistic",
    modality: Annotated[
        list[Modality] | None,
        typer.Option(
            parser=modality_named,
            metavar=EXTRACTED,
            help="Repeatable. Default: acoustic, and embedding with --encoder.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(parser=encoder_source, metavar="NAME", help="Folder or hub name of a Wav2Vec2 checkpoint."),
    ] = None,
    split: Annotated[
        Literal["manifest", "chronological"],
        typer.Option(help="The manifest's split column, or every speaker's last memos held out."),
    ] = "manifest",
    calibration: Annotated[
        Method, typer.Option(help="Default: the one that predicts held-out speakers better by more than chance.")
    ] = "better",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Train a bundle on labelled recordings, and report its figures on held-out speakers: TRAIN_HELP."""
    samples = _samples(manifest, daic_woz)
    from workers.corpora.corpus import corpus_by_time, corpus_of, features_of
    from workers.evaluation.flags import flags_of
    from workers.training.recipe import Recipe
    from workers.training.train import train as make

    if head != "logistic":
        from workers.service.quiet_tensorflow import import_tensorflow

        import_tensorflow()
        from workers.training.neural_trainer import sum_on_one_thread

        sum_on_one_thread()
    corpus = corpus_by_time(samples) if split == "chronological" else corpus_of(samples)
    modalities = _modalities(modality, encoder)
    source = _encoder(modalities, encoder)
    settings = load_settings(**({"encoder": source} if source else {}))
    with progress(len(samples), "features") as done:
        features = features_of(corpus, settings, modalities, cache, done)
    recipe = Recipe(kind=head, seed=seed, calibration=None if calibration == "better" else calibration)
    with progress(2 * recipe.folds + 1, "training") as done:
        trained = make(corpus, features, recipe, out, encoder=source, progress=done)
    _print_failures(features.failed)
    output = printer(as_json)
    output.data({"bundle": trained.bundle.id, **trained.figures})
    output.note(f"{trained.bundle.id} in {out}; score with it: UNDERTONE_BUNDLE={out} undertone score MEMO")
    for name, figures in trained.figures.items():
        _note_figures(output, f"{name}, held-out speakers" if name != "test" else "test side of the split", figures)
        for flag in flags_of(figures):
            warn(flag["meaning"])
        if apart := figures.get("choices_apart"):
            otherwise = f"{apart['folds_choosing_otherwise']} of {apart['folds']} folds"
            output.note(f"  without their own speakers {otherwise} choose otherwise;")
            _note_figures(output, "  evaluated with those choices", apart)


def evaluate(
    bundle: Annotated[Path, typer.Option(parser=bundle_folder, metavar="FOLDER", help="Folder of the bundle.")],
    manifest: Manifest = None,
    daic_woz: DaicWoz = None,
    split: Annotated[
        str,
        typer.Option(
            help="Side of the manifest's split; `chronological`: every speaker's last memos; `all`: every memo."
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(parser=output_folder, metavar="FOLDER", help="Folder for report.md with plots, and report.json."),
    ] = None,
    cache: Cache = CACHE,
    as_json: AsJson = False,
) -> None:
    """Evaluate a bundle on labelled recordings: discrimination, calibration, abstention, subgroups, cold start.

    --report writes report.md with plots, and report.json, whose schema is docs/evaluation-report.schema.json. More than
    50 % of the memos undecided is flagged there and on standard error.
    """
    samples, by_time = _samples(manifest, daic_woz), split == "chronological"
    from workers.corpora.corpus import TEST, corpus_by_time, corpus_of, features_of
    from workers.evaluation.evaluate import judge
    from workers.scoring.bundle import Bundle

    loaded = Bundle.load(bundle)
    corpus = corpus_by_time(samples) if by_time else corpus_of(samples)
    side = TEST if by_time else _side(split, corpus.sides)
    settings = load_settings(bundle=bundle, **({"encoder": loaded.encoder_source} if loaded.encoder_source else {}))
    with progress(len(corpus.samples), "features") as done:
        features = features_of(corpus, settings, loaded.modalities, cache, done)
    found = judge(loaded, corpus, features, side)
    _print_failures(features.failed)
    if report is not None:
        from workers.evaluation.report import write_report

        write_report(found, report)
    output = printer(as_json)
    output.data(found.figures)
    _note_figures(output, loaded.id, found.figures)
    for flag in found.figures["flags"]:
        warn(flag["meaning"])


def _samples(manifest: Path | None, daic_woz: Path | None) -> "list[Sample]":
    from workers.corpora.daic_woz import read_daic_woz
    from workers.corpora.manifest import read_manifest

    if (manifest is None) == (daic_woz is None):
        raise typer.BadParameter("give one of them, and one only", param_hint="--manifest, --daic-woz")
    return read_manifest(manifest) if manifest is not None else read_daic_woz(daic_woz or Path())


def _modalities(named: list[Modality] | None, encoder: str | None) -> list[Modality]:
    if named:
        return [modality for modality in MODALITIES if modality in named]
    return [Modality.ACOUSTIC, Modality.EMBEDDING] if encoder else [Modality.ACOUSTIC]


def _encoder(modalities: list[Modality], encoder: str | None) -> str | None:
    """The encoder to train on: as given, at the revision that it has now, or the shipped bundle's."""
    from schemas.settings import SHIPPED_BUNDLE
    from workers.wav2vec2.checkpoint import pinned

    if Modality.EMBEDDING not in modalities:
        return None
    return pinned(encoder or str(SHIPPED_BUNDLE / ENCODER))


def _side(split: str, sides: "Any") -> str | None:
    """The side to evaluate: as given, or the test side if the manifest has one, or everything."""
    split = split.lower()
    if split == "all":
        return None
    if split and split not in sides:
        raise ConfigurationError(
            f"the manifest has no memo on the side {split!r}; it has {', '.join(sorted(set(sides)))}"
        )
    return split or next((side for side in ("test", "dev") if side in sides), None)


def _note_figures(output: Printer, title: str, figures: dict[str, Any]) -> None:
    shown = {name: _number(value) for name, value in figures.items() if isinstance(value, float)}
    low, high = map(_number, figures["auc_ci"])
    output.note(f"{title}: {figures['n']} memos of {figures['speakers']} speakers, {figures['positives']} positive")
    output.note(f"  AUC {shown['auc']} ({low} to {high}), UAR {shown['uar']}, ECE {shown['ece']}")
    output.note(
        f"  {figures['undecided_share']:.0%} undecided; of the rest sensitivity {shown['sensitivity_decided']}, "
        f"specificity {shown['specificity_decided']} (of all {shown['sensitivity']}, {shown['specificity']})"
    )


def _number(value: float) -> str:
    """Three digits, or a dash where there was nothing to count: with one label there is no AUC."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _print_failures(failed: "Any") -> None:
    for reason, places in failed.items():
        first = ", ".join(dict.fromkeys(places[:NAMED])) + (" and others" if len(places) > NAMED else "")
        warn(f"{len(places)} recordings skipped: {reason} ({first})")
