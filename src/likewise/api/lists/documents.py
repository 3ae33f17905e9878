"""The documents of lists: Apple's rating, with what Apple's does not have after it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from likewise.asgi import Query
from likewise.domain import Item, ItemName, Time, Value
from likewise.ndjson import moment
from likewise.wire import encode, identifier, rating_href

_PATH = "/v1/me/ratings"
_KEPT = ("limit", "l", "filter[type]", "filter[value]", "include")
"""What a client asked for and goes on asking for on the page that follows."""


def rating_document(
    item: Item,
    value: Value | None,
    time: Time,
    name: ItemName | None,
    storefront_id: str | None,
    library_item: Item | None,
) -> dict[str, Any]:
    """Write a rating, or that it was cleared; with `storefront_id` also the identifier of what is rated."""
    attributes: dict[str, Any] = {"value": value, "ratedAt": moment(time)}
    if name and name.title:
        attributes["name"] = name.title
    if name and name.artist:
        attributes["artistName"] = name.artist
    document = {"id": item.id, "type": "ratings", "href": rating_href(item), "attributes": attributes}
    relationships = {}
    if storefront_id is not None:
        relationships["content"] = {"data": [identifier(item, storefront_id, name)]}
    if library_item is not None:
        relationships["library"] = {"data": [identifier(library_item, "")]}
    return document | ({"relationships": relationships} if relationships else {})


def encode_page(
    documents: Sequence[object],
    query: Query,
    *,
    offset: str | None = None,
    since: bool = False,
    cursor: str | None = None,
    total: int | None = None,
) -> bytes:
    """Write a page; where there are more, `next` goes on after `offset`, or `since` the cursor."""
    document: dict[str, Any] = {}
    if offset is not None:
        document["next"] = _href("offset", offset, query)
    if since and cursor is not None:
        document["next"] = _href("since", cursor, query)
    document["data"] = documents
    meta = {"total": total, "cursor": cursor}
    document["meta"] = {name: value for name, value in meta.items() if value is not None}
    return encode(document)


def _href(name: str, value: str, query: Query) -> str:
    kept = [(name, value) for name, value in query if name in _KEPT]
    return _PATH + "?" + "&".join(f"{quote(key)}={quote(text, safe=',')}" for key, text in [(name, value), *kept])
