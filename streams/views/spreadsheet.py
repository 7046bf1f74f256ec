"""Texts of unknown origin on their way into a spreadsheet. Pure."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""Characters with which a spreadsheet takes a text for a formula. Source: OWASP, "CSV Injection"."""
BYTE_ORDER_MARK = "\ufeff"
"""By which spreadsheets know UTF-8."""


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: with an apostrophe in front where it begins like one.

    >>> safe("=1+1"), safe("memo-1")
    ("'=1+1", 'memo-1')
    """
    return f"'{text}" if text.startswith(FORMULA) else text
