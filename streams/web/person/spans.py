"""What is drawn over a time: an episode, a context mark, a mute, the time of a bundle. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_ = str  # marks messages; they are translated where they are shown


class Lane(StrEnum):
    """In which lane a span is drawn; the values are English messages."""

    EPISODE = _("Episode")
    CONTEXT = _("Context")
    MUTE = _("Muted")
    BUNDLE = _("Model")


@dataclass(frozen=True, slots=True)
class Span:
    """One span. until: None while it lasts; label: in the reader's words.

    strong: hatched, as a critical episode and a context that is left out of the baseline are.
    """

    lane: Lane
    since: datetime
    until: datetime | None
    label: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class AlertStep:
    """One alert, with the agent's own numbers. shape: a marker of Bokeh; label: in the reader's words."""

    at: datetime
    statistic: float
    threshold: float
    shape: str
    label: str
    strong: bool = False
