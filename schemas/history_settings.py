"""Where the history of people is kept, for how long, and which cohort each belongs to. Part of the settings."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from schemas.setting_types import Listed, Positive, Role


class History(BaseModel, frozen=True, defer_build=True):
    """What `undertone history` keeps in a database, and the dashboard shows."""

    # The address may hold a password, so a printed Settings does not show it.
    database_url: Annotated[str | None, Role.HISTORY | Role.DASHBOARD | Role.COMMAND_LINE] = Field(None, repr=False)
    """PostgreSQL as `postgresql://user:password@host:5432/database`. Without it the history is a file of SQLite in
    `UNDERTONE_HOME`, for one machine."""
    history_retention_s: Annotated[Positive, Role.HISTORY] = 400 * 86400.0
    """Seconds that scores, closed episodes and what people did are kept in the history."""
    cohorts: Annotated[Listed[str], Role.HISTORY | Role.DASHBOARD] = ()
    """Cohorts as `name=prefix` of pseudonyms, such as `ward=a-,clinic=b-`; the longest prefix wins. `undertone history
    cohorts` names people one by one, which comes before."""

    @field_validator("cohorts")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        halves = [pair.partition("=") for pair in value]
        if not all(name.strip() and prefix.strip() for name, _, prefix in halves):
            raise ValueError("write each cohort as name=prefix, such as ward=a-; list several with ,")
        if len({prefix.strip() for _, _, prefix in halves}) < len(halves):
            raise ValueError("two cohorts have the same prefix: give each its own")
        return value
