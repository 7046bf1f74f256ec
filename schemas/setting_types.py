"""What a setting is made of: its variable, the values that it can have, and the roles that read it.

Values and roles are written in the annotation: `window_s: Annotated[Positive, Role.WORKER | Role.COMMAND_LINE] = 15.0`.
pydantic keeps a Role among the field's metadata and does nothing with it.
"""

from enum import Flag, auto
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema
from pydantic_settings import NoDecode

from schemas.environment import PREFIX

T = TypeVar("T")


def _parts(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
File = Annotated[Path, WithJsonSchema({"type": "string", "format": "file"})]
Folder = Annotated[Path, WithJsonSchema({"type": "string", "format": "folder"})]
Listed: TypeAlias = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_parts)]
"""Any number of values, in a variable separated by commas."""


class Role(Flag):
    """Which processes read a setting."""

    WORKER = auto()
    """`undertone worker`"""
    AGENTS = auto()
    """`undertone agents`"""
    BRIDGE = auto()
    """`undertone bridge`"""
    HISTORY = auto()
    """`undertone history`"""
    DASHBOARD = auto()
    """`undertone dashboard`"""
    KEYS = auto()
    """`undertone keys serve`"""
    UP = auto()
    """`undertone up` and `undertone demo`, which also pass every setting on to the roles that they start"""
    COMMAND_LINE = auto()
    """every other command, such as `undertone score` and `undertone submit`"""
    # The processes that run in production, and everything.
    SERVICES = WORKER | AGENTS | BRIDGE | HISTORY | DASHBOARD | KEYS
    ALL = SERVICES | UP | COMMAND_LINE


def plain(name: str) -> AliasChoices:
    """The names under which one of PLAIN is accepted: as it is, with the prefix, and as the field."""
    return AliasChoices(name, PREFIX + name, name.lower())
