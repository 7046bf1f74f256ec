"""Whose memos are read, and how long each kind of data is kept. Part of the settings."""

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from schemas.setting_types import Role
from schemas.topics import ALERTS, AUDIT, CARE, DEAD, FEATURES, SCORED, UPLOADED, Topic

Kept: TypeAlias = Annotated[float, Field(ge=3600, le=36_525 * 86400, allow_inf_nan=False)]
"""Seconds: an hour at least, which is the shortest that a log is cut into."""


class Keeping(BaseModel, frozen=True, defer_build=True):
    """Whose memos are read, and how long each kind of data is kept.

    `undertone topics create` gives new topics their retention, and `undertone doctor` names those that have another.
    """

    consent: Annotated[
        Literal["assumed", "required"],
        Role.WORKER | Role.AGENTS | Role.DASHBOARD | Role.COMMAND_LINE,
    ] = "assumed"
    """`assumed` reads the memos of everybody who has not paused or withdrawn their consent (`undertone consent`);
    `required` only those of people who have given it."""
    transcribe: Annotated[Literal["on", "off"], Role.COMMAND_LINE] = "on"
    """`off` refuses `undertone transcribe`, the one command that shows words; no process of the pipeline writes any."""
    uploads_retention_s: Annotated[Kept, Role.UP | Role.COMMAND_LINE] = UPLOADED.retention.total_seconds()
    """Seconds that `memos.uploaded` keeps events of memos: longer than the longest outage of a worker."""
    features_retention_s: Annotated[Kept, Role.COMMAND_LINE] = FEATURES.retention.total_seconds()
    """Seconds that `memos.features` keeps features: longer than the longest outage of the agents."""
    scores_retention_s: Annotated[Kept, Role.COMMAND_LINE] = SCORED.retention.total_seconds()
    """Seconds that `risk.scored` keeps scores. The history has its own: `UNDERTONE_HISTORY_RETENTION_S`."""
    alerts_retention_s: Annotated[Kept, Role.COMMAND_LINE] = ALERTS.retention.total_seconds()
    """Seconds that `risk.alerts` keeps alerts: as long as an episode lasts, since bridges read open ones from it."""
    dead_letters_retention_s: Annotated[Kept, Role.UP | Role.DASHBOARD | Role.COMMAND_LINE] = (
        DEAD.retention.total_seconds()
    )
    """Seconds that `memos.dead` keeps dead letters, in which they can be redriven."""
    care_retention_s: Annotated[Kept, Role.COMMAND_LINE] = CARE.retention.total_seconds()
    """Seconds that `care.actions` keeps what clinicians did."""
    audit_retention_s: Annotated[Kept, Role.COMMAND_LINE] = AUDIT.retention.total_seconds()
    """Seconds that `audit.events` keeps who looked and who changed something; the law may ask for six years."""
    keys_retention_s: Annotated[Kept | None, Role.HISTORY | Role.KEYS | Role.COMMAND_LINE] = None
    """Seconds after the end of a month for which its keys are kept: `undertone history` destroys older ones each hour,
    and `undertone keys destroy-epochs --due` at once, and with them what they sealed, in every replica and backup.
    Without it none is destroyed."""


def retention_of(topic: Topic, settings: Keeping) -> timedelta:
    """How long a topic keeps its records by these settings."""
    return topic.retention if topic.setting is None else timedelta(seconds=getattr(settings, topic.setting))
