"""Services for tests of pages that need neither Kafka nor a database."""

from typing import Any, cast

from schemas.codec import Codec
from schemas.settings import Settings
from streams.api.services import Services


def services(settings: Settings) -> Services:
    """Services that fail when anything but the settings is used."""
    return Services(settings, Codec(), *cast("tuple[Any, Any, Any, Any, Any]", (None,) * 5))
