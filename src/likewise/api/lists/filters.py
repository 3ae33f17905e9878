"""Which ratings a list is about: `filter[type]` and `filter[value]`."""

from typing import NamedTuple

from likewise.asgi import Query
from likewise.domain import KINDS, Kind, Value
from likewise.errors import BadParameter

_VALUES = {str(int(value)): value for value in Value}


class Filter(NamedTuple):
    """None stands for all."""

    kinds: list[Kind] | None
    value: Value | None


def filter_of(query: Query) -> Filter:
    """Read the filters; raise `BadParameter`."""
    return Filter(_kinds_of(query.all("filter[type]")), _value_of(query.last("filter[value]")))


def _kinds_of(values: list[str]) -> list[Kind] | None:
    if not values:
        return None
    types = dict.fromkeys(type for value in values for type in value.split(",") if type)
    if not types:
        raise BadParameter("filter[type]", "No types supplied in the 'filter[type]' query parameter")
    for type in types:
        if type not in KINDS:
            raise BadParameter("filter[type]", f"Unknown resource type '{type}'")
    return [KINDS[type] for type in types]


def _value_of(value: str | None) -> Value | None:
    if value is None:
        return None
    if value not in _VALUES:
        raise BadParameter("filter[value]", f"Value must be 1 or -1, but was: {value}")
    return _VALUES[value]
