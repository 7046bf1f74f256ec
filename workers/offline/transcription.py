"""The words of one recording at hand, by the CTC head of the encoder. They are returned and kept nowhere."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.bundle_manifest import encoder_of
from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from schemas.settings import Settings
from workers.audio.load import load_file
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_frames import find_speech
from workers.audio.speech_span import speech_spans
from workers.text.transcript import Transcript, decode, frame_begins_s
from workers.text.vocabulary import FILES, Vocabulary, load_vocabulary
from workers.wav2vec2 import checkpoint


def head_vocabulary(settings: Settings) -> Vocabulary:
    """The vocabulary of the encoder's CTC head, without loading TensorFlow.

    Raises ConfigurationError for a checkpoint without a head or a vocabulary.
    """
    source = encoder_of(settings.bundle, settings.encoder)
    loaded = checkpoint.load(source)
    if not loaded.has_head:
        raise ConfigurationError(
            "the encoder has no CTC head (lm_head), so it hears no words; name a checkpoint that was fine-tuned for "
            "speech recognition, such as facebook/wav2vec2-base-960h, with --encoder or UNDERTONE_ENCODER"
        )
    return load_vocabulary(checkpoint.fetch(source, FILES), loaded.config.vocab_size)


def transcribe_file(path: Path, vocabulary: Vocabulary, settings: Settings) -> Transcript:
    """The words of a file with their times in it. Raises Poison, and ConfigurationError for a model that is unusable.

    The encoder hears what the embedding worker hears: the spoken part, at one level.
    """
    from workers.wav2vec2.stage import MARGIN_S, EmbeddingStage  # an engine: only who transcribes loads it

    signal, _ = load_file(path, settings)
    stage = EmbeddingStage.from_settings(settings)
    embedding = stage.logits(signal)
    assert embedding.frames is not None
    hop = stage.embedder.checkpoint.config.hop
    firsts = frame_firsts(embedding.frame_counts, round(settings.window_s * SAMPLING_RATE), hop)
    return decode(embedding.frames, vocabulary, _begins_s(signal, firsts, MARGIN_S), hop / SAMPLING_RATE)


def frame_firsts(counts: NDArray[np.int64], window: int, hop: int) -> NDArray[np.int64]:
    """First sample of every frame. counts: (windows,) frames of each; window, hop: samples from one to the next.

    >>> frame_firsts(np.array([3, 2]), window=100, hop=30).tolist()
    [0, 30, 60, 100, 130]
    """
    return np.concatenate([at * window + hop * np.arange(count) for at, count in enumerate(counts.tolist())])


def _begins_s(signal: FloatArray, firsts: NDArray[np.int64], margin_s: float) -> FloatArray:
    """Second of the recording at which frames of its spoken part begin."""
    spans = speech_spans(find_speech(signal).frames, len(signal), margin_s)
    return frame_begins_s(spans, firsts, SAMPLING_RATE)
