"""Times and durations from the command line."""

import re
from datetime import UTC, datetime, timedelta

import typer

_LENGTH = r"(\d+)([smhdw])"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


LONGEST = timedelta(days=36500)


def moment(text: str) -> datetime:
    """A time in RFC 3339, in UTC; UTC without a zone. Raises typer.BadParameter, also when UTC has no such time."""
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("not a time such as 2026-05-01T08:30:00Z") from None


def month(text: str) -> datetime:
    """The first moment of a month such as `2026-05`, in UTC, in the past. Raises typer.BadParameter."""
    try:
        parsed = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter("not a month such as 2026-05") from None
    if parsed.year < 2000 or parsed > datetime.now(UTC):
        raise typer.BadParameter("not a month from 2000-01 to this one")
    return parsed


def length(text: str) -> timedelta:
    """A duration such as `30s`, `90m`, `12h`, `3d` or `2w`, of at most a hundred years. Raises typer.BadParameter."""
    found = re.fullmatch(_LENGTH, text)
    if found is None:
        raise typer.BadParameter("not a duration such as 30s, 90m, 12h, 3d or 2w")
    unit = timedelta(**{_UNITS[found[2]]: 1})
    if len(found[1]) > 9 or int(found[1]) > LONGEST / unit:
        raise typer.BadParameter(f"longer than a hundred years, which are {LONGEST.days}d")
    return unit * int(found[1])


def since_moment(text: str) -> datetime:
    """A time in RFC 3339, or an age: `30s`, `90m`, `12h`, `3d`, `2w`. Raises typer.BadParameter."""
    return datetime.now(UTC) - length(text) if re.fullmatch(_LENGTH, text) else moment(text)
