"""Colours of charts in the light and in the dark, as one table.

They are those of the pages where a page has one (`static/style.css`). A chart is laid out with the light ones;
`charts.js` puts the dark ones in their place where the page is dark. No colour says anything alone: every one has a
shape, a hatch or a dash of its own.
"""

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """What is drawn in which colour, `#rrggbb`; each value occurs once, so one palette can be mapped to the other."""

    ink: str
    quiet: str
    grid: str
    paper: str
    score: str
    normal: str
    statistic: str
    threshold: str
    episode: str
    critical: str
    gap: str
    context: str
    bundle: str


LIGHT = Palette(
    ink="#1b2425",
    quiet="#4b5656",
    grid="#d9d8ce",
    paper="#fffefb",
    score="#0b5a5e",
    normal="#5fa5a2",
    statistic="#574770",
    threshold="#2f3a3b",
    episode="#a05a00",
    critical="#96271a",
    gap="#7a8281",
    context="#324d7c",
    bundle="#2a5943",
)
DARK = Palette(
    ink="#e7eae7",
    quiet="#adb8b7",
    grid="#2c383b",
    paper="#182124",
    score="#7fc9c6",
    normal="#4a8486",
    statistic="#cbb9e6",
    threshold="#d5dbd8",
    episode="#f1c26e",
    critical="#ffa292",
    gap="#7d8b8b",
    context="#a4c0f2",
    bundle="#98d3b2",
)


def dark_of_light() -> dict[str, str]:
    """The dark colour for each light one."""
    return dict(zip(astuple(LIGHT), astuple(DARK), strict=True))
