"""Text of unknown origin on its way to a terminal, a log or a line of output.

Ids, reasons and headers are chosen by whoever may write to a topic. Shown as they are, they could move the cursor,
forge a line, hide text or be taken for markup.
"""

from rich.text import Text


def escaped(text: object) -> str:
    r"""The text with everything that is not printable as a backslash escape, so that it stays on its line.

    Not printable are control and format characters (escape sequences, line breaks, bidirectional overrides, zero-width
    characters), separators other than the space, surrogates, and unassigned characters.

    >>> print(escaped("two\nlines \x1b[2J and \u202e"))
    two\nlines \x1b[2J and \u202e
    """
    shown = str(text)
    return shown if shown.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in shown)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cell(text: object) -> Text:
    """`escaped` for tables and lines of rich, which would take `[red]` or `:bell:` for markup."""
    return Text(escaped(text))
