"""Why somebody looked or changed something, as an audit event keeps it. Pure."""

REASON_BYTES = 1024


def kept_reason(said: str) -> str | None:
    r"""What was said, without what cannot be printed and within the limits of an event; None where nothing is left.

    >>> kept_reason(" asked\x07 to\udcff"), kept_reason("\n")
    ('asked to', None)
    """
    printable = "".join(letter for letter in said if letter.isprintable()).strip()
    return printable.encode()[:REASON_BYTES].decode(errors="ignore") or None
