"""Links from an alert to its episode on the dashboard. Pure."""

from urllib.parse import quote

from schemas.environment import variable
from schemas.settings import Settings
from streams.notify.http_client import checked_url

VARIABLE = variable("dashboard_url")


def dashboard_of(settings: Settings) -> str | None:
    """The address of the dashboard without a trailing slash, None without one. Raises ConfigurationError."""
    return None if settings.dashboard_url is None else checked_url(settings.dashboard_url, VARIABLE)


def episode_link(dashboard: str | None, dedup_key: str) -> str | None:
    """The page of an episode; None without a dashboard, and for a key that no path can name.

    >>> episode_link("https://undertone.example", "a/../b?c")
    'https://undertone.example/episodes/a%2F..%2Fb%3Fc'
    """
    if dashboard is None or dedup_key in {".", ".."}:
        return None
    return f"{dashboard}/episodes/{quote(dedup_key, safe='')}"
