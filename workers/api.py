"""The public Python API: score and measure recordings in a script, a notebook or a service of your own.

    from workers.api import Embedder, features, markers, score

Importing it loads no model and starts nothing; it may stand at the top of any script, guarded or not. The first call
that needs them loads TensorFlow, and starts openSMILE and the decoders as processes of their own. They are kept for
later calls and end with this process; `close` ends them before. Kafka and Redis are not used.

A recording is a file's path, a file's content as bytes, or (samples, sampling rate in Hz), where samples are (samples,)
or (samples, channels), floats with full scale at 1 or integers of 8 to 32 bits at theirs. One recording, or any number
of them: every function returns a list with one result each, in order. One that cannot be used is a `Failure` and costs
the others nothing.

The settings of the command line apply (`docs/settings.md`). Calls from several threads take turns. A process that was
forked after an encoder was loaded must not use one: TensorFlow does not survive it.
"""

import atexit
import os
from collections.abc import Iterable
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Self

from schemas.errors import ConfigurationError, Transient
from schemas.events import Band, Evidence, FloatArray, Quality
from schemas.markers import MARKER_NAMES
from workers.acoustic.feature_names import FUNCTIONAL_NAMES, WINDOW_NAMES
from workers.offline.recordings import Recording, recordings_in
from workers.offline.results import Embedding, Failure, Features, Markers, Score

if TYPE_CHECKING:
    from workers.offline.session import EmbeddingSession, Session

__all__ = [
    "FUNCTIONAL_NAMES",
    "MARKER_NAMES",
    "WINDOW_NAMES",
    "Band",
    "ConfigurationError",
    "Embedder",
    "Embedding",
    "Evidence",
    "Failure",
    "Features",
    "Markers",
    "Quality",
    "Recording",
    "Score",
    "Transient",
    "close",
    "features",
    "markers",
    "score",
]

Recordings = Recording | Iterable[Recording]


def score(
    recordings: Recordings,
    bundle: str | os.PathLike[str] | None = None,
    one_person: bool = False,
) -> list[Score | Failure]:
    """Score recordings: each as the first one of somebody unknown, or as those of one person, oldest first.

    bundle: its folder; by default `UNDERTONE_BUNDLE`, else the demonstration, which says nothing about any person. Only
    what the bundle reads is extracted. one_person: each recording is held against those before it.
    Raises ConfigurationError for a bundle or an encoder that cannot be used, TypeError for what is no recording,
    Transient when a process cannot be started.
    """
    return _session().score(recordings_in(recordings), bundle, in_turn=one_person)


def features(recordings: Recordings, encoder: str | os.PathLike[str] | None = None) -> list[Features | Failure]:
    """All features of recordings: functionals, windows, markers and the embedding.

    encoder: a Hugging Face folder or name[@revision]; by default the bundle's. Raises as `score` does.
    """
    return _session().features(recordings_in(recordings), encoder)


def markers(recordings: Recordings) -> list[Markers | Failure]:
    """The acoustic markers of recordings, without TensorFlow. Raises TypeError and Transient as `score` does."""
    return _session().markers(recordings_in(recordings))


class Embedder:
    """Embeds recordings with one encoder, which is loaded once and computes in batches; close it, or use `with`.

    encoder: a Hugging Face folder or name[@revision] of a Wav2Vec 2.0 checkpoint; by default the bundle's. Raises
    ConfigurationError when it cannot be used.
    """

    def __init__(self, encoder: str | os.PathLike[str] | None = None) -> None:
        # TensorFlow takes seconds and hundreds of megabytes to load, which nothing else here needs.
        from workers.offline.session import EmbeddingSession

        self._session: EmbeddingSession | None = EmbeddingSession(encoder)

    def __enter__(self) -> Self:
        """Ready since made."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def embed(self, recordings: Recordings) -> list[Embedding | Failure]:
        """Window and recording means of the last hidden states; no result depends on the other recordings.

        Raises TypeError for what is no recording, ValueError once closed.
        """
        return self._open().embed(recordings_in(recordings))

    def frames(self, recordings: Recordings) -> list[FloatArray | Failure]:
        """(frames, d) float32 each: the last hidden state of every frame, 50 per second of the spoken part.

        Raises as `embed` does.
        """
        return self._open().frames(recordings_in(recordings))

    def close(self) -> None:
        """Let go of the model; idempotent."""
        self._session = None

    def _open(self) -> "EmbeddingSession":
        if self._session is None:
            raise ValueError("this Embedder is closed; make a new one")
        return self._session


def close() -> None:
    """End the processes that earlier calls started and let go of their models; a later call starts new ones."""
    if _session.cache_info().currsize:
        _session().close()


@cache
def _session() -> "Session":
    # SciPy and the decoders' libraries take a second to load, which a script that only imports us does not need.
    from workers.offline.session import Session

    session = Session()
    atexit.register(session.close)
    return session
