"""The settings of the fusion agent."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.events import Modality
from schemas.settings import Settings

SHARE_OF_TTL = 0.9


@dataclass(frozen=True, slots=True)
class FusionRules:
    """Required modalities of a memo, the timeout of its join, and the TTLs of state.

    join_timeout: before it no open join becomes an indeterminate score; give_up: after it all do, whether their workers
    have passed the memo or not; join_ttl_s, state_ttl_s: TTL of a join and of a baseline in seconds, from the last
    write.
    """

    modalities: tuple[Modality, ...]
    join_timeout: timedelta
    join_ttl_s: float
    state_ttl_s: float
    give_up: timedelta = timedelta(days=3)

    @classmethod
    def from_settings(cls, settings: Settings) -> "FusionRules":
        """The rules from the process's settings."""
        timeout = timedelta(seconds=settings.join_timeout_s)
        # A join that Redis had forgotten would never be given up.
        give_up_s = min(settings.join_give_up_s, SHARE_OF_TTL * settings.join_ttl_s)
        give_up = max(timeout, timedelta(seconds=give_up_s))
        return cls(settings.modalities, timeout, settings.join_ttl_s, settings.state_ttl_s, give_up)

    def wait(self, behind_s: float | None) -> timedelta:
        """How long after the timeout a join is given up, when all workers have passed what was uploaded `behind_s` ago.

        behind_s: None when unknown, which counts as never.
        """
        longest = self.give_up - self.join_timeout
        if behind_s is None or behind_s > self.give_up.total_seconds():
            return longest
        return max(timedelta(seconds=behind_s) - self.join_timeout, timedelta())
