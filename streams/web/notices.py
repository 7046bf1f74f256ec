"""What every page says about the system itself: which model judges, how late the data is, and what was lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from schemas.bundle_manifest import bundle_id
from streams.api.services import OurServices
from streams.web.languages import Language
from streams.web.pages import language_of

DEMO = "demo-"
"""How ids of demonstration bundles begin."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One line above a page. kind: `demo`, `late` or `fault`, which style and order follow."""

    kind: str
    text: str


async def load_notices(request: Request, services: OurServices) -> None:
    """Give the pages of this request their notices; a dependency of FastAPI."""
    request.state.frame = notices(bundle_id(services.settings.bundle), language_of(request))


def notices(bundle: str | None, language: Language) -> Sequence[Notice]:
    """What there is to say, the gravest last: it is read next to the page. bundle: id of the one in force."""
    said = []
    if bundle is not None and bundle.startswith(DEMO):
        words = language.gettext("Demonstration model %(bundle)s: what it scores says nothing about any person.")
        said.append(Notice("demo", words % {"bundle": bundle}))
    return said
