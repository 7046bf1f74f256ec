"""HTML without scripts, in which no text of a record is markup. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

from workers.service.terminal import escaped

STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{border:1px solid #999;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "caption{text-align:left;font-weight:bold}"
    ".note{border-left:.3rem solid #555;padding-left:1rem}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What the page may load: nothing."""


def document(title: str, *blocks: str) -> str:
    """A whole page, for a file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{text(title)}</h1>\n"
        + "\n".join(blocks)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *blocks: str) -> str:
    """A heading, and what it is of."""
    return f"<section>\n<h2>{text(title)}</h2>\n" + "\n".join(blocks) + "\n</section>"


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph. kind: its class."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> str:
    """A table of texts. empty: what is said in place of one without rows."""
    body = "\n".join(f"<tr>{''.join(f'<td>{lines(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return paragraph(empty)
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in headings)
    return (
        f"<table>\n<caption>{text(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def lines(words: object) -> str:
    """A text that keeps its line breaks."""
    return "<br>".join(map(text, str(words).splitlines()))


def text(words: object) -> str:
    r"""A text in which nothing is markup, and what is not printable is an escape.

    >>> print(text("<b>\u202e"))
    &lt;b&gt;\u202e
    """
    return escape(escaped(words))
