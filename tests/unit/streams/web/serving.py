"""Services for tests of pages that need neither Kafka nor a database."""

from typing import Any, NoReturn, cast

from schemas.codec import Codec
from schemas.errors import Transient
from schemas.settings import Settings
from streams.api.services import Services


class Unavailable:
    """A database that does not answer."""

    async def read(self, *_: object) -> NoReturn:
        """Raises Transient."""
        raise Transient("the database does not answer")


def services(settings: Settings) -> Services:
    """Services of which only the settings can be used."""
    return Services(
        settings, Codec(), *cast("tuple[Any, Any, Any, Any, Any, Any]", (None, Unavailable(), None, None, None, None))
    )
