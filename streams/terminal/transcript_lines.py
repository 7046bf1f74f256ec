"""The JSON line of `undertone transcribe`; `json_lines.py` hands it on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class WordLine(TypedDict):
    """One word."""

    text: str
    """The word, in the writing of the encoder's vocabulary."""
    begin_s: float
    """Second of the recording at which it begins."""
    end_s: float
    """Second at which it ends."""
    log_probability: float
    """Natural logarithm of the probability of its characters, mean over their frames."""


class Transcribed(TypedDict):
    """The words of a file."""

    path: str
    """The file."""
    words: list[WordLine]
    """Its words, in order."""
    log_probability: float | None
    """Mean over the frames of all characters; null without words. Low in another language and in noise."""
