"""Records as JSON, for programs that read lines instead of Avro."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TypeAlias

import numpy as np

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def to_plain(value: object) -> Json:
    """A record, or any part of one, as JSON has it: times as RFC 3339, enums by value, NaN as null, bytes as hex."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def to_json(record: object) -> str:
    """One line of JSON, as `json_line` writes it."""
    return json_line(to_plain(record))


def json_line(value: object) -> str:
    r"""The value as one line of JSON; what is not printable, and any text may hold, as `\u` escapes.

    So a terminal shows control characters and bidirectional overrides, and obeys none. What JSON lacks is written as
    its text.

    >>> print(json_line({"é": "\x9b"}))
    {"é": "\u009b"}
    """
    line = json.dumps(value, ensure_ascii=False, default=str)
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
