"""The settings of the fusion agent."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.events import Modality
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class FusionRules:
    """Required modalities of a memo, the timeout of its join, and the TTLs of state.

    join_timeout: after it an open join becomes an indeterminate score; join_ttl_s, state_ttl_s: TTL of a join and of a
    baseline in seconds, from the last write.
    """

    modalities: tuple[Modality, ...]
    join_timeout: timedelta
    join_ttl_s: float
    state_ttl_s: float

    @classmethod
    def from_settings(cls, settings: Settings) -> "FusionRules":
        """The rules from the process's settings."""
        timeout = timedelta(seconds=settings.join_timeout_s)
        return cls(settings.modalities, timeout, settings.join_ttl_s, settings.state_ttl_s)
