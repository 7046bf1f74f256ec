"""The embedding stage: one `MemoFeatures` per memo, with the Wav2Vec 2.0 encoder."""

from collections.abc import Callable, Sequence
from typing import Self

from schemas.bundle_manifest import encoder_of
from schemas.errors import Poison
from schemas.events import Extractor, FloatArray, MemoFeatures, Modality
from schemas.settings import Settings
from workers.audio.memo import SAMPLING_RATE, Memo
from workers.audio.speech_span import SPAN_VERSION, spoken_part
from workers.consumer.stage import Outcome
from workers.service import prometheus
from workers.wav2vec2 import checkpoint
from workers.wav2vec2.embedder import Embedder, Embedding
from workers.wav2vec2.engines.choice import chosen
from workers.wav2vec2.engines.guard import check_precision

MARGIN_S = 1.0
"""Seconds of silence kept at either end: most memos are embedded whole."""


class EmbeddingStage:
    """Embeds the memos of a batch together, with the same result as one by one.

    warm: whether `prepare` compiles programs.
    """

    name = "embedding"

    def __init__(self, embedder: Embedder, window_s: float, *, warm: bool = False) -> None:
        self.embedder = embedder
        self._cold = embedder.warm() if warm else iter(())
        self.extractors = {Modality.EMBEDDING: extractor_of(embedder.checkpoint, embedder.precision)}
        self._window_s = window_s
        self.device = embedder.engine.device

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """A stage with the bundle's encoder, or the one in `settings.encoder`.

        Raises ConfigurationError when that checkpoint cannot be used.
        """
        return cls(embedder_from(settings), settings.window_s, warm=settings.warm)

    def prepare(self) -> bool:
        """Compile one program in advance; False when none is left."""
        for _ in self._cold:
            return True
        return False

    def process(self, batch: Sequence[Memo]) -> list[Outcome[MemoFeatures]]:
        """One `MemoFeatures` per memo, or Poison: `embedding:too_short`, `embedding:not_finite`."""
        carried_s, computed_s = self.embedder.work.carried_s, self.embedder.work.computed_s
        signals = [self.heard(memo.signal) for memo in batch]
        usable = [index for index, signal in enumerate(signals) if len(signal) >= self.embedder.shortest]
        embeddings = dict(zip(usable, self.embedder.embed([signals[index] for index in usable]), strict=True))
        work = self.embedder.work
        if work.computed_s > computed_s:
            padding = 1 - (work.carried_s - carried_s) / (work.computed_s - computed_s)
            prometheus.PADDING_SHARE.labels(stage=self.name).observe(padding)
        return [self._outcome(memo, embeddings.get(index)) for index, memo in enumerate(batch)]

    def frames(self, signal: FloatArray) -> FloatArray:
        """(frames, d): the last hidden state of every frame of a memo. Raises the Poison that `process` returns."""
        frames = self._read(signal, self.embedder.embed_frames).frames
        assert frames is not None
        return frames

    def logits(self, signal: FloatArray) -> Embedding:
        """With the logits of every frame of a memo as its frames. Raises as `frames` does."""
        return self._read(signal, self.embedder.embed_logits)

    def heard(self, signal: FloatArray) -> FloatArray:
        """The part of a memo that is embedded: its spoken part.

        At one level if the checkpoint normalises signals: it then divides by a power to which it adds a constant, so
        that very quiet ones would come out quieter. Other checkpoints were trained on signals at their own level.
        """
        part = spoken_part(signal, MARGIN_S)
        return part.at_level() if self.embedder.checkpoint.normalise else part.signal

    def close(self) -> None:
        """Nothing to release: programs live as long as the process."""

    def _outcome(self, memo: Memo, embedding: Embedding | None) -> Outcome[MemoFeatures]:
        try:
            usable = self._usable(embedding)
        except Poison as poison:
            return poison
        extractor, features = self.extractors[Modality.EMBEDDING], (usable.windows, usable.summary)
        return [memo.features(Modality.EMBEDDING, extractor, self._window_s, *features)]

    def _read(self, signal: FloatArray, embed: Callable[[Sequence[FloatArray]], Sequence[Embedding]]) -> Embedding:
        heard = self.heard(signal)
        return self._usable(embed([heard])[0] if len(heard) >= self.embedder.shortest else None)

    def _usable(self, embedding: Embedding | None) -> Embedding:
        """The embedding of a memo, None for one that is too short. Raises Poison when it has none."""
        if embedding is None:
            shortest_ms = 1000 * self.embedder.shortest / SAMPLING_RATE
            raise Poison("embedding:too_short", f"the audio is shorter than one frame, {shortest_ms:.0f} ms")
        if not embedding.finite:
            raise Poison("embedding:not_finite", "the encoder's output for this audio is not finite")
        return embedding


def embedder_from(settings: Settings) -> Embedder:
    """An embedder by the settings.

    Raises ConfigurationError when its checkpoint cannot be used, or when its precision changes the frames.
    """
    choice = chosen(settings)
    if choice.engine == "xla":
        _configure(settings)
    prometheus.ENGINE.labels(engine=choice.engine, precision=settings.precision).set(1)
    loaded = checkpoint.load(encoder_of(settings.bundle, settings.encoder))
    if settings.precision != "float32":
        check_precision(loaded, choice.engine, settings.precision, settings.intra_op_threads)
    return Embedder(
        loaded,
        window_s=settings.window_s,
        batch_s=settings.encoder_batch_s,
        precision=settings.precision,
        engine=choice.engine,
        threads=settings.intra_op_threads,
    )


def _configure(settings: Settings) -> None:
    from workers.wav2vec2 import compilation  # Keras, and with it TensorFlow: only where that engine computes

    compilation.configure(settings.intra_op_threads, memory_growth=settings.memory_growth, cache=settings.program_cache)


def extractor_of(source: checkpoint.Checkpoint, precision: str = "float32") -> Extractor:
    """Provenance of an embedding: everything that determines its values. float32 has no name in it."""
    version = f"{source.version}-span{SPAN_VERSION}" + ("" if precision == "float32" else f"-{precision}")
    return Extractor(name="wav2vec2", version=version, weights_hash=source.weights_hash)
