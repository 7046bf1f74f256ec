"""What an operator asked of the fusion agent."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.events import Modality
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class FusionRules:
    """Which modalities a memo needs, how long its join waits for them, and how long state lives.

    join_timeout: after it an open join becomes an indeterminate score; join_ttl_s, state_ttl_s: seconds that a join and
    a baseline live since they were last written.
    """

    modalities: tuple[Modality, ...]
    join_timeout: timedelta
    join_ttl_s: float
    state_ttl_s: float

    @classmethod
    def from_settings(cls, settings: Settings) -> "FusionRules":
        """The rules that the settings ask for."""
        timeout = timedelta(seconds=settings.join_timeout_s)
        return cls(settings.modalities, timeout, settings.join_ttl_s, settings.state_ttl_s)
