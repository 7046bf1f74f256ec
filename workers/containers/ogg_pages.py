"""Walk the pages of an Ogg file: where a chained recording begins, and whether pages are missing. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

CAPTURE = b"OggS"
HEADER_BYTES = 27
BEGINS = 2
"""Flag of the first page of a stream."""
HEADERS_ONLY = frozenset({0, 2**64 - 1})
"""Granule positions of pages on which no audio ends."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. start, end: its bytes; granule: position of its last sample."""

    start: int
    end: int
    begins: bool
    granule: int
    serial: int
    number: int


def ogg_pages(data: bytes) -> Iterator[Page]:
    """Pages in order; bytes between pages are passed over. The last one may end behind the data."""
    at = data.find(CAPTURE)
    while 0 <= at <= len(data) - HEADER_BYTES:
        table = at + HEADER_BYTES
        lengths = data[table : table + data[table - 1]]
        end = table + data[table - 1] + sum(lengths)
        yield Page(
            start=at,
            end=end,
            begins=bool(data[at + 5] & BEGINS),
            granule=int.from_bytes(data[at + 6 : at + 14], "little"),
            serial=int.from_bytes(data[at + 14 : at + 18], "little"),
            number=int.from_bytes(data[at + 18 : at + 22], "little"),
        )
        at = end if data[end : end + 4] == CAPTURE else data.find(CAPTURE, end)


def ogg_links(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Start and end of each recording of a chained file, and whether pages are missing from it.

    A recording may have several streams, which all begin before any other page.
    """
    start, in_headers, lacks = 0, True, False
    last: dict[int, Page] = {}
    for page in ogg_pages(data):
        if page.begins and not in_headers:
            yield start, page.start, lacks
            start, lacks, last = page.start, False, {}
        in_headers = page.begins
        before = last.get(page.serial)
        # A stream that was recorded from its middle on continues with a high number after its headers.
        lacks |= before is not None and page.number > before.number + 1 and before.granule not in HEADERS_ONLY
        last[page.serial] = page
    yield start, len(data), lacks
