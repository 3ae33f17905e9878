"""Each call once: the requests it makes, and what their answers mean.

https://developer.apple.com/documentation/applemusicapi/ratings and, for what Apple does not have, docs/api.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlencode

from likewise.client import answers
from likewise.client.answers import LibraryItem, Page, Rating, RatingChange, Written
from likewise.client.exchange import Plan, Request
from likewise.domain import LIBRARY_KINDS, TWINS, Item, Kind, Storefront, Value, item_of, kind_of
from likewise.errors import (
    BadBody,
    BadParameter,
    NoRelatedResources,
    NotRated,
    RatingsNotAllowed,
    UnknownLibraryResourceType,
    UnknownResourceType,
)
from likewise.wire import VALUES, encode

Thing = TypeVar("Thing")

IDS_PER_REQUEST = 100
"""What Apple takes; Likewise takes 300."""
IDS_PER_REQUEST_MAX = 300
WRITES_PER_REQUEST_MAX = 1_000
PAGE_MAX = 100

_COMMA_RAW = ","


# Ratings


def get_rating(type: str | Kind, id: str) -> Plan[Rating]:
    item = _item(type, id)
    answer = yield Request("GET", _rating_path(item), absent=NotRated)
    return _only(answers.read_ratings(answer, item.kind), item)


def get_ratings(type: str | Kind, ids: Iterable[str], ids_per_request: int) -> Plan[list[Rating]]:
    kind = _kind(type)
    items = _items(kind, ids)
    ratings: list[Rating] = []
    for batch in _batches(items, _ids_per_request(ids_per_request)):
        answer = yield Request("GET", f"/v1/me/ratings/{kind.type}?ids={_joined(batch)}")
        found = answers.read_ratings(answer, kind)
        ratings += [found[item.id] for item in batch if item.id in found]
    return ratings


def put_rating(type: str | Kind, id: str, value: Value | int) -> Plan[Rating]:
    item = _item(type, id)
    body = encode({"type": "rating", "attributes": {"value": int(_value(value))}})
    answer = yield Request("PUT", _rating_path(item), body)
    return _only(answers.read_ratings(answer, item.kind), item)


def delete_rating(type: str | Kind, id: str) -> Plan[None]:
    yield Request("DELETE", _rating_path(_item(type, id)), absent=NotRated)


def write_ratings(changes: Iterable[tuple[str | Kind, str, Value | int | None]]) -> Plan[list[Written]]:
    wanted = [(_item(type, id), None if value is None else _value(value)) for type, id, value in changes]
    written: list[Written] = []
    for batch in _batches(wanted, WRITES_PER_REQUEST_MAX):
        documents = [
            {"type": item.kind.type, "id": item.id, "attributes": {"value": None if value is None else int(value)}}
            for item, value in batch
        ]
        answer = yield Request("POST", "/v1/me/ratings", encode({"data": documents}), is_repeatable=False)
        items, values = map(list, zip(*batch, strict=True))
        written += answers.read_written(answer, items, values)
    return written


# Lists: one page each, for they may be long


def list_ratings(types: Iterable[str | Kind], value: Value | int | None) -> Plan[Page[Rating]]:
    query: dict[str, Any] = {"limit": PAGE_MAX}
    if chosen := [_kind(type).type for type in _several("filter[type]", types)]:
        query["filter[type]"] = ",".join(chosen)
    if value is not None:
        query["filter[value]"] = int(_value(value))
    return (yield from rating_page(f"/v1/me/ratings?{_query(query)}"))


def rating_page(href: str) -> Plan[Page[Rating]]:
    answer = yield Request("GET", href)
    return answers.read_rating_page(answer)


def get_cursor() -> Plan[str]:
    page = yield from rating_page("/v1/me/ratings?limit=1")
    if page.cursor is None:
        raise answers.not_understood()
    return page.cursor


def get_changes(since: str) -> Plan[Page[RatingChange]]:
    answer = yield Request("GET", f"/v1/me/ratings?{_query({'since': since})}")
    page = answers.read_change_page(answer)
    if page.cursor is None:
        raise answers.not_understood()
    return page


def list_library(type: str | Kind) -> Plan[Page[LibraryItem]]:
    return (yield from library_page(f"{_library_path(_library_kind(type))}?limit={PAGE_MAX}"))


def library_page(href: str) -> Plan[Page[LibraryItem]]:
    answer = yield Request("GET", href)
    return answers.read_library_page(answer)


# Favorites and the library


def add_favorites(type: str | Kind, ids: Iterable[str], ids_per_request: int) -> Plan[None]:
    yield from _send_ids("POST", "/v1/me/favorites", _kind(type), ids, ids_per_request)


def remove_favorites(type: str | Kind, ids: Iterable[str], ids_per_request: int) -> Plan[None]:
    yield from _send_ids("DELETE", "/v1/me/favorites", _kind(type), ids, ids_per_request)


def add_to_library(type: str | Kind, ids: Iterable[str], ids_per_request: int) -> Plan[None]:
    kind = _kind(type)
    if kind.is_library or kind not in TWINS:
        raise UnknownResourceType(kind.type)
    yield from _send_ids("POST", "/v1/me/library", kind, ids, ids_per_request)


def remove_from_library(type: str | Kind, id: str) -> Plan[None]:
    item = _item(_library_kind(type), id)
    yield Request("DELETE", f"{_library_path(item.kind)}/{item.id}")


def get_library_items(type: str | Kind, ids: Iterable[str], ids_per_request: int) -> Plan[list[LibraryItem]]:
    kind = _library_kind(type)
    wanted = _items(kind, ids)
    found: list[LibraryItem] = []
    for batch in _batches(wanted, _ids_per_request(ids_per_request)):
        answer = yield Request("GET", f"{_library_path(kind)}?ids={_joined(batch)}")
        by_id = {each.item.id: each for each in answers.read_library_page(answer).entries}
        found += [by_id[item.id] for item in batch if item.id in by_id]
    return found


def get_twin(item: Item, storefront_id: str) -> Plan[Item]:
    path = f"/v1/catalog/{storefront_id}/{item.kind.type}/{item.id}/library"
    if item.kind.is_library:
        path = f"{_library_path(item.kind)}/{item.id}/catalog"
    answer = yield Request("GET", path, absent=NoRelatedResources)
    return answers.read_resource(answer, TWINS[item.kind])


def item_with_twin(type: str | Kind, id: str) -> Item:
    """Name an item of a type that has twins; stations have none."""
    item = _item(type, id)
    if item.kind not in TWINS:
        raise UnknownResourceType(item.kind.type)
    return item


# Neighbours


def get_storefront() -> Plan[Storefront]:
    answer = yield Request("GET", "/v1/me/storefront")
    storefronts = answers.read_storefronts(answer)
    if len(storefronts) != 1 or not storefronts[0].id.isalnum():
        raise answers.not_understood()
    return storefronts[0]


def test() -> Plan[None]:
    yield Request("GET", "/v1/test")


# What the calls share


def _send_ids(method: str, path: str, kind: Kind, ids: Iterable[str], ids_per_request: int) -> Plan[None]:
    items = _items(kind, ids)
    for batch in _batches(items, _ids_per_request(ids_per_request)):
        target = f"{path}?ids%5B{kind.type}%5D={_joined(batch)}"
        yield Request(method, target, is_repeatable=method != "POST")


def _kind(type: str | Kind) -> Kind:
    return type if isinstance(type, Kind) else kind_of(type)


def _library_kind(type: str | Kind) -> Kind:
    """Find a library kind by its name, `library-songs`, or by the one that paths of the library have, `songs`."""
    kind = type if isinstance(type, Kind) else LIBRARY_KINDS.get(type) or kind_of(type)
    if not kind.is_library:
        kind = TWINS.get(kind, kind)
    if not kind.is_library:
        raise UnknownLibraryResourceType(kind.type)
    return kind


def _item(type: str | Kind, id: str) -> Item:
    kind = _kind(type)
    if not isinstance(id, str):
        raise RatingsNotAllowed(kind.type)
    return item_of(kind, id)


def _items(kind: Kind, ids: Iterable[str]) -> list[Item]:
    """Name items, each once, in their order."""
    return [_item(kind, id) for id in dict.fromkeys(_several("ids", ids))]


def _several(parameter: str, things: Iterable[Thing]) -> Iterable[Thing]:
    # A text is made of texts, its characters, so Python would not complain.
    if isinstance(things, str):
        raise BadParameter(parameter, f"These are several, as ['{things}'], and not one text")
    return things


def _value(value: Value | int) -> Value:
    known = None if isinstance(value, bool) or not isinstance(value, int) else VALUES.get(value)
    if known is None:
        raise BadBody("/attributes/value", "The value of a rating is the integer 1 (like) or -1 (dislike)")
    return known


def _only(found: dict[str, Rating], item: Item) -> Rating:
    rating = found.get(item.id)
    if rating is None:
        raise answers.not_understood()
    return rating


def _rating_path(item: Item) -> str:
    return f"/v1/me/ratings/{item.kind.type}/{item.id}"


def _library_path(kind: Kind) -> str:
    return f"/v1/me/library/{kind.type.removeprefix('library-')}"


def _joined(items: Sequence[Item]) -> str:
    # No well-formed id holds anything that would have to be escaped in a query.
    return _COMMA_RAW.join(item.id for item in items)


def _query(parameters: dict[str, Any]) -> str:
    return urlencode(parameters, safe=_COMMA_RAW)


def _ids_per_request(ids_per_request: int) -> int:
    if not 1 <= ids_per_request <= IDS_PER_REQUEST_MAX:
        raise BadParameter("ids", f"The number of ids in one request is 1 to {IDS_PER_REQUEST_MAX}")
    return ids_per_request


def _batches(things: Sequence[Thing], most: int) -> Iterator[Sequence[Thing]]:
    rest = iter(things)
    while batch := list(islice(rest, most)):
        yield batch
