"""Query parameters that several endpoints understand, and the headers of their answers."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from likewise.asgi import HeaderPair, Query, Response
from likewise.domain import Item, Kind, Listener, Storefront
from likewise.errors import BadParameter
from likewise.storefronts import STOREFRONTS, choose_language

IDS_MAX = 300
PAGE_MAX = 100
OFFSET_MAX = 10**15 - 1
_DIGITS_MAX = 100

_is_integer = re.compile(r"[+-]?[0-9]+").fullmatch

JSON: HeaderPair = (b"content-type", b"application/json;charset=utf-8")
NO_STORE: HeaderPair = (b"cache-control", b"no-store")

ACCEPTED = Response(202, headers=(NO_STORE,))
DELETED = Response(204, headers=(NO_STORE,))


def document(body: bytes, language: str) -> Response:
    """Answer with a document that anybody may keep."""
    return Response(200, body, (JSON, (b"content-language", language.encode())))


def personal_document(body: bytes, language: str) -> Response:
    """Answer with a document that is one listener's alone."""
    return Response(200, body, _personal_headers(language))


@cache  # as many as there are language tags in the storefronts
def _personal_headers(language: str) -> tuple[HeaderPair, ...]:
    return JSON, (b"content-language", language.encode()), NO_STORE


def storefront_of(listener: Listener) -> Storefront:
    return STOREFRONTS[listener.storefront]


def language_for(listener: Listener, query: Query) -> str:
    """Choose the language by `l` and the listener's storefront; raise `BadParameter`."""
    return choose_language(query.last("l"), (STOREFRONTS[listener.storefront],))


def includes(query: Query, relationship: str) -> bool:
    if query.last("include") is None:
        return False
    return any(relationship in value.split(",") for value in query.all("include"))


def ids_of(query: Query, *, ids_max: int) -> list[str]:
    """Read `ids`, joined by commas or repeated, without duplicates and empty pieces; raise `BadParameter`."""
    values = query.all("ids")
    if not values:
        raise BadParameter("ids", "No ids supplied on the request")
    ids = list(dict.fromkeys(_pieces(values)))
    _check_number(len(ids), ids_max)
    return ids


def items_by_type(query: Query, kinds: Mapping[str, Kind], *, ids_max: int) -> list[Item]:
    """Read `ids[songs]=…&ids[albums]=…`, leaving out what is not of `kinds` or malformed; raise `BadParameter`."""
    if query.all("ids"):
        raise BadParameter("ids", "Please provide a single (1) resource type")
    values = [(name[4:-1], value) for name, value in query if name.startswith("ids[") and name.endswith("]")]
    if not values:
        raise BadParameter("ids", "No ids supplied on the request")
    pairs = dict.fromkeys((type, id) for type, value in values for id in _pieces([value]))
    _check_number(len(pairs), ids_max)
    return [Item(kinds[type], id) for type, id in pairs if type in kinds and kinds[type].has_id(id)]


def _pieces(values: Iterable[str]) -> Iterable[str]:
    return filter(None, ",".join(values).split(","))


def _check_number(ids: int, ids_max: int) -> None:
    if ids == 0:
        raise BadParameter("ids", "No id(s) supplied in the 'ids' query parameter")
    if ids > ids_max:
        raise BadParameter("ids", f"The number of ids must be less than or equal to {ids_max}, but was: {ids}")


class Window(NamedTuple):
    """Which part of a list is wanted. `limit` is at most 100; None when the client did not say."""

    limit: int | None
    offset: int


def window_of(query: Query) -> Window:
    """Read `limit` (1 to 100) and `offset` (0 to 10¹⁵ - 1); raise `BadParameter`."""
    limit, offset = limit_of(query), query.last("offset")
    return Window(limit, 0 if offset is None else _integer("offset", offset, least=0, most=OFFSET_MAX))


def limit_of(query: Query, *, most: int = PAGE_MAX) -> int | None:
    """Read `limit` (1 to `most`, 100 by default), None when the client did not say; raise `BadParameter`."""
    limit = query.last("limit")
    return None if limit is None else _integer("limit", limit, least=1, most=most)


def _integer(parameter: str, text: str, *, least: int, most: int) -> int:
    if not _is_integer(text):
        raise BadParameter(parameter, f"Value must be an integer, but was: {text}")
    # One with more digits than any number that is allowed is not worth reading.
    has_too_many_digits = len(text) > _DIGITS_MAX
    if text[0] == "-" or (not has_too_many_digits and int(text) < least):
        raise BadParameter(parameter, f"Value must be an integer greater than or equal to {least}, but was: {text}")
    if has_too_many_digits or int(text) > most:
        raise BadParameter(parameter, f"Value must be an integer less than or equal to {most}, but was: {text}")
    return int(text)
