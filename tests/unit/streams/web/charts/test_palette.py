"""The palette: light and dark can be mapped to each other, and both can be read."""

from dataclasses import astuple, fields

import pytest

from streams.web.charts.palette import DARK, LIGHT, Palette, dark_of_light


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`. Source: WCAG 2.2, "relative luminance"."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(colour: str, ground: str) -> float:
    low, high = sorted((luminance(colour), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def test_each_colour_of_a_palette_is_another_so_that_the_dark_one_is_known() -> None:
    assert len(dark_of_light()) == len(fields(Palette))


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out_from_the_ground(palette: Palette) -> None:
    for text in (palette.ink, palette.quiet):
        assert contrast(text, palette.paper) >= 4.5
    for line in set(astuple(palette)) - {palette.paper, palette.grid, palette.normal}:
        assert contrast(line, palette.paper) >= 3.0
