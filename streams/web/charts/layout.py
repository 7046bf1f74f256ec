"""A chart without data, made once for a language, and its copies with somebody's data.

Bokeh takes a quarter of a second to build a document of some figures, and milliseconds are what a page has. So a chart
is built once, every model that depends on the person bears a name, and a copy gets the attributes of these models.
"""

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, TypeAlias

from bokeh.embed import json_item
from bokeh.models import UIElement

Json: TypeAlias = Any
"""What JSON can say."""
Attributes: TypeAlias = Mapping[str, Json]
"""Values of a model's properties by their names, in Bokeh's own JSON."""
Columns: TypeAlias = Mapping[str, Iterable[float | str | list[float] | None]]
"""Values by column, as many in each."""


class Layout:
    """A chart as JSON, with named models to be filled."""

    def __init__(self, root: UIElement) -> None:
        self._item: Json = json.loads(json.dumps(json_item(root)))
        self.names = frozenset(_names(self._item))

    def filled(self, attributes: Mapping[str, Attributes]) -> Json:
        """The chart as an item for `Bokeh.embed.embed_item`, with these attributes of models by the models' names.

        Raises KeyError for a name that no model has: a misspelt one would leave its part of the chart empty.
        """
        if unknown := attributes.keys() - self.names:
            raise KeyError(f"no model of this chart is named {', '.join(sorted(unknown))}")
        return _filled(self._item, attributes)


def columns(data: Columns) -> Attributes:
    """The data of a ColumnDataSource."""
    return {"data": {"type": "map", "entries": [[name, [*map(_number, values)]] for name, values in data.items()]}}


def _number(value: float | str | list[float] | None) -> Json:
    """A value as Bokeh reads it: not a number where there is none, so that lines break."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return {"type": "number", "value": "nan"}
    return value


def _filled(node: Json, attributes: Mapping[str, Attributes]) -> Json:
    if isinstance(node, list):
        return [_filled(each, attributes) for each in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _filled(value, attributes) for key, value in node.items()}
    if (name := _name(node)) in attributes:
        copy["attributes"] = {**copy["attributes"], **attributes[name]}
    return copy


def _names(node: Json) -> Iterable[str]:
    if isinstance(node, list):
        for each in node:
            yield from _names(each)
    elif isinstance(node, dict):
        if name := _name(node):
            yield name
        for each in node.values():
            yield from _names(each)


def _name(node: Mapping[str, Json]) -> str:
    """The name of a model; empty for any other object."""
    attributes = node.get("attributes")
    name = attributes.get("name") if isinstance(attributes, dict) else None
    return name if isinstance(name, str) else ""
