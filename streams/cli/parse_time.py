"""Times and durations from the command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

_LENGTH = r"(\d+)([mhdw])"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """A time in RFC 3339, UTC without a zone. Raises typer.BadParameter."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("not a time such as 2026-05-01T08:30:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def length(text: str) -> timedelta:
    """A duration such as `90m`, `12h`, `3d` or `2w`. Raises typer.BadParameter."""
    found = re.fullmatch(_LENGTH, text)
    if found is None:
        raise typer.BadParameter("not a duration such as 90m, 12h, 3d or 2w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def since_moment(text: str) -> datetime:
    """A time in RFC 3339, or an age: `90m`, `12h`, `3d`, `2w`. Raises typer.BadParameter."""
    return datetime.now(UTC) - length(text) if re.fullmatch(_LENGTH, text) else moment(text)
