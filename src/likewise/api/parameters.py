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
_OFFSET_DIGITS_MAX = 15

_is_digits = re.compile(r"[0-9]+").fullmatch
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
    values = query.all("include")
    return bool(values) and any(relationship in value.split(",") for value in values)


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
    return (piece for value in values for piece in value.split(",") if piece)


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
    """Read `limit` (1 to 100) and `offset` (0 and up); raise `BadParameter`."""
    limit, offset = limit_of(query), query.last("offset")
    if offset is not None and (not _is_digits(offset) or len(offset) > _OFFSET_DIGITS_MAX):
        raise BadParameter("offset", f"Value must be an integer greater than or equal to 0, but was: {offset}")
    return Window(limit, int(offset or 0))


def limit_of(query: Query) -> int | None:
    """Read `limit` (1 to 100), None when the client did not say; raise `BadParameter`."""
    limit = query.last("limit")
    if limit is None:
        return None
    if not _is_integer(limit):
        raise BadParameter("limit", f"Value must be an integer, but was: {limit}")
    if len(limit) > _OFFSET_DIGITS_MAX or int(limit) > PAGE_MAX:
        raise BadParameter("limit", f"Value must be an integer less than or equal to {PAGE_MAX}, but was: {limit}")
    if int(limit) < 1:
        raise BadParameter("limit", f"Value must be an integer greater than or equal to 1, but was: {limit}")
    return int(limit)
