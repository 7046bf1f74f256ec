"""Languages of the pages: catalogues of messages, and which language a request asks for.

English is written in templates and code, and is the id of each message. Catalogues are gettext's `.po` files, one a
page, in `locale/LANGUAGE`; they are read as they are, without a compiled copy that could be out of date.
"""

from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

CATALOGUES = Path(__file__).parent / "locale"
COOKIE = "undertone_language"


def gettext_noop(message: str) -> str:
    """The message itself: marks one in a table for the catalogues, which is translated where it is shown."""
    return message


@dataclass(frozen=True)
class Language:
    """A language that pages are shown in. tag: BCP 47, for `lang`; name: in itself; locale: of numbers and dates."""

    tag: str
    name: str
    locale: Locale
    translations: NullTranslations

    def gettext(self, message: str) -> str:
        """The message in this language."""
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The message in this language, in the form for `number` things."""
        return self.translations.ngettext(one, many, number)


def catalogue(tag: str) -> Catalog:
    """All messages of a language, of every page; a message that several pages have is that of the first file."""
    merged = Catalog(locale=tag)
    for path in sorted((CATALOGUES / tag).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=tag):
                if message.id and message.id not in merged:
                    merged.add(message.id, message.string, flags=message.flags)
    return merged


def _translations(tag: str) -> GNUTranslations:
    compiled = BytesIO()
    write_mo(compiled, catalogue(tag))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def languages() -> dict[str, Language]:
    """Every language by its tag, the default first."""
    english = Language("en", "English", Locale("en", "GB"), NullTranslations())
    german = Language("de", "Deutsch", Locale("de"), _translations("de"))
    return {each.tag: each for each in (english, german)}


def preferred(accepted: str, chosen: str | None = None) -> Language:
    """The language that was chosen, else the one that the browser likes best, else English.

    accepted: the header `Accept-Language` (RFC 9110, 12.5.4); what is malformed in it counts for nothing.

    >>> preferred("fr, de-AT;q=0.8, en;q=0.5").tag
    'de'
    """
    known = languages()
    if chosen in known:
        return known[chosen]
    wanted = sorted(filter(None, map(_weighted, accepted[:1000].split(","))), key=lambda pair: -pair[1])
    return next((known[tag] for tag, _ in wanted if tag in known), known["en"])


def _weighted(part: str) -> tuple[str, float] | None:
    """Primary language and weight of one part of `Accept-Language`; None for one that is refused or malformed."""
    name, _, parameter = part.partition(";")
    weight = parameter.strip().removeprefix("q=") if parameter else "1"
    try:
        value = float(weight)
    except ValueError:
        return None
    return (name.strip().lower().partition("-")[0], value) if 0 < value <= 1 else None
