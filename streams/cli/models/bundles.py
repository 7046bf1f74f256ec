"""`undertone bundle`: what a trained bundle accepts besides its own features."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import import_tensorflow_for, load_settings
from streams.cli.offline import Paths
from streams.cli.printing import AsJson, printer, progress, warn
from streams.terminal.arguments import bundle_folder, positive
from streams.terminal.files import audio_files, replace_file

if TYPE_CHECKING:
    from streams.terminal.json_lines import VerifiedEquivalent

bundle_app = typer.Typer(help="Say what a trained bundle accepts besides its own features.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(bundle_app, name="bundle")


@bundle_app.callback()
def _group() -> None:
    """Keep the name of the only command."""


@bundle_app.command()
def verify_equivalent(
    paths: Paths,
    bundle: Annotated[Path, typer.Option(parser=bundle_folder, metavar="FOLDER", help="Folder of the bundle.")],
    precision: Annotated[
        Literal["float32", "bfloat16", "int8"] | None,
        typer.Option(help="Precision of the other embeddings. Default: UNDERTONE_PRECISION."),
    ] = None,
    most_change: Annotated[
        float, typer.Option(parser=positive, metavar="NUMBER", help="Largest change of a logit that is harmless.")
    ] = 0.05,
    least_correlation: Annotated[
        float,
        typer.Option(parser=positive, metavar="NUMBER", help="Least rank correlation (Spearman) between both scores."),
    ] = 0.999,
    as_json: AsJson = False,
) -> None:
    """Let a bundle accept embeddings in another precision, if that changes no score by much.

    Scores recordings with embeddings in both precisions: as first memos of strangers, against their person's baseline,
    and across the switch from one precision to the other. Recordings of one folder count as one person's. Within the
    bounds it writes equivalents.json into the bundle's folder: workers in that precision and agents accept the bundle
    then, and baselines go on. Beyond them nothing is written, and the exit code is 1. Give recordings like those that
    will be scored, 20 at least. Start agents before workers: they read the file when they start.
    """
    files = audio_files(paths)
    settings = load_settings(bundle=bundle, **({"precision": precision} if precision else {}))
    import_tensorflow_for(settings, settings.modalities, settings.bundle)
    from schemas.bundle_equivalents import EQUIVALENTS, read_equivalents, text_of
    from workers.evaluation.equivalence import Bounds, compare
    from workers.scoring.bundle import Bundle

    loaded, asked = Bundle.load(bundle), settings.precision
    with progress(2 * len(files), "comparing") as done:
        found, left_out = compare(loaded, settings, asked, files, Bounds(most_change, least_correlation), done)
    harmless = found.is_harmless
    if harmless:
        others = [each for each in read_equivalents(bundle, loaded.id) if each.extractor != found.extractor]
        replace_file(bundle / EQUIVALENTS, text_of([*others, found], loaded.id))
    for path, why in left_out.items():
        warn(f"{path}: {why}")
    output = printer(as_json)
    line: VerifiedEquivalent = {
        "bundle": loaded.id,
        "precision": asked,
        "engine": found.engine,
        "equivalent": harmless,
        "recordings": found.recordings,
        "largest_change": _finite(found.largest_change),
        "rank_correlation": _finite(found.rank_correlation),
        "most_change": most_change,
        "least_correlation": least_correlation,
        "left_out": {str(path): why for path, why in left_out.items()},
    }
    output.data(line)
    output.note(
        f"{asked} on {found.engine}, {found.recordings} recordings: largest change of a logit "
        f"{found.largest_change:.4f} (at most {most_change:g}), rank correlation {found.rank_correlation:.5f} "
        f"(at least {least_correlation:g})"
    )
    if not harmless:
        output.note(f"{loaded.id} does not accept it: set UNDERTONE_PRECISION to what it was trained with")
        raise typer.Exit(ExitCode.FAILED)
    output.note(f"{loaded.id} accepts it from now on: {bundle / EQUIVALENTS}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
