"""Where the dashboard listens, what it stores, and which services its pages ask. Part of the settings."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from schemas.connection_settings import is_url
from schemas.setting_types import Role


class Dashboard(BaseModel, frozen=True, defer_build=True):
    """The API and the pages that `undertone dashboard` serves."""

    dashboard_host: Annotated[str, Role.DASHBOARD | Role.UP] = "127.0.0.1"
    """Address that the dashboard listens at. Another one than the loopback of this machine needs sign-in."""
    dashboard_port: Annotated[int, Field(ge=0, le=65535), Role.DASHBOARD | Role.UP] = 8090
    """Port of the dashboard; 0 takes a free one. Where it is not set, `undertone up` takes a free one if this one is in
    use."""
    dashboard_socket: Annotated[int | None, Field(ge=3), Role.DASHBOARD] = None
    """Set by `undertone up` for the dashboard that it starts: descriptor of the socket that listens already, so that
    nothing else takes the port meanwhile."""
    upload_store: Annotated[str | None, Role.DASHBOARD] = Field(None, repr=False)
    """Folder or bucket for audio that is uploaded to the dashboard, as a URI under one of `UNDERTONE_AUDIO_PREFIXES`.
    Without it the dashboard takes no uploads; with `undertone up` it is in `UNDERTONE_HOME`."""
    names_url: Annotated[str | None, Role.DASHBOARD] = None
    """Address of a service of yours that knows the names of people, asked by the browser of whoever looks and never by
    Undertone: `POST {"pseudonyms": [...]}` with the browser's own credentials, answered by
    `{"names": {pseudonym: name}}`. Without it pages show pseudonyms alone."""

    @field_validator("names_url")
    @classmethod
    def _names(cls, value: str | None) -> str | None:
        # It becomes a source in the Content-Security-Policy, where a space or a semicolon would begin another rule.
        if value is not None and (not is_url(value, "http", "https") or any(c.isspace() or c in ";,@" for c in value)):
            raise ValueError("is not https://host[:port][/path]")
        return value
