"""The JSON line of `undertone bundle`; `json_lines.py` hands it on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class VerifiedEquivalent(TypedDict):
    """What another precision of the embeddings changes in the scores of a bundle."""

    bundle: str
    """Its id."""
    precision: str
    """The other precision."""
    engine: str
    """What computed it."""
    equivalent: bool
    """Whether the change is within the bounds, and the bundle accepts the precision from now on."""
    recordings: int
    """How many were compared."""
    largest_change: float | None
    """Largest change of a logit; null where a recording had a score in one precision only."""
    rank_correlation: float | None
    """Spearman's, between the scores in both precisions; null where all are the same."""
    most_change: float
    """The bound of the first."""
    least_correlation: float
    """The bound of the second."""
    left_out: dict[str, str]
    """Why a recording was left out, by its path."""
