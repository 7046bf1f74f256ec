"""Whether the bundle is whole, and the encoder the one that it was trained with.

`bundle` and `encoder` load models: they are run in child processes.
"""

from schemas.bundle_equivalents import differ_in_precision_alone, precision_of, read_equivalents
from schemas.bundle_manifest import encoder_of, needs_of
from schemas.environment import variable
from schemas.events import Modality
from schemas.settings import Settings
from streams.doctor.finding import Finding, failed, ok, skipped, warning


def bundle(settings: Settings) -> Finding:
    """Every file is there, with its digest, and the parts fit together. Raises ConfigurationError otherwise."""
    from workers.scoring.bundle import Bundle

    return ok(f"{Bundle.load(settings.bundle).id}, every file as its digest says")


def modalities(settings: Settings) -> Finding:
    """The modalities that the bundle needs are those that are extracted. Reads the manifest alone."""
    needs = needs_of(settings.bundle)
    if needs is None:
        return skipped("the bundle has no manifest that says what it needs")
    needed, asked = (",".join(each) for each in (needs.modalities, settings.modalities))
    fix = f"unset {variable('modalities')}, or name a bundle that was trained with {asked}"
    if left_out := [each for each in needs.modalities if each not in settings.modalities]:
        text = f"the bundle needs {needed}, and {variable('modalities')} is {asked}"
        return failed(f"{text}: every memo lacks {','.join(left_out)}", fix)
    if set(needs.modalities) < set(settings.modalities):
        return warning(f"{variable('modalities')} is {asked}, and the bundle reads only {needed}", fix)
    return ok(f"{needed}, as the bundle needs")


def encoder(settings: Settings) -> Finding:
    """The checkpoint loads, embeds a tone, and is the bundle's."""
    if Modality.EMBEDDING not in settings.modalities:
        return skipped("no embeddings are needed")
    import numpy as np

    from streams.doctor.extraction import tone
    from workers.wav2vec2.checkpoint import load
    from workers.wav2vec2.engines.choice import chosen
    from workers.wav2vec2.stage import embedder_from, extractor_of

    needs = needs_of(settings.bundle)
    wanted = None if needs is None else needs.extractors.get(Modality.EMBEDDING)
    given = extractor_of(load(encoder_of(settings.bundle, settings.encoder)), settings.precision)
    accepted = [] if needs is None else [each.extractor for each in read_equivalents(settings.bundle, needs.id)]
    if wanted is not None and given not in accepted and differ_in_precision_alone(given, wanted):
        return failed(
            f"the bundle was trained on features in another precision than {settings.precision}, and nothing shows "
            "that the difference is harmless: workers with this bundle stop",
            "run `undertone bundle verify-equivalent RECORDINGS --bundle FOLDER`, or set "
            f"UNDERTONE_PRECISION={precision_of(wanted)}",
        )
    if wanted is not None and given not in (wanted, *accepted):
        return failed(
            f"the encoder is {given.version} ({given.weights_hash[:12]}), and the bundle was trained with "
            f"{wanted.version} ({wanted.weights_hash[:12]}): its memos would become dead letters (features:mismatch)",
            "unset UNDERTONE_ENCODER, or name a bundle that was trained with this encoder",
        )
    (embedding,) = embedder_from(settings).embed([tone(2.0)])
    if not np.isfinite(embedding.summary).all():
        return failed("the encoder's output for a tone is not finite", "set UNDERTONE_PRECISION=float32")
    engine = chosen(settings)
    return ok(
        f"{given.version} ({given.weights_hash[:12]}), the one that the bundle was trained with, on {engine.engine}: "
        f"{engine.reason}"
    )
