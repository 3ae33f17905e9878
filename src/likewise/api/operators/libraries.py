"""The library of one listener: link one item or many, list, unlink."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from likewise.admin import Admin, Link, link_of
from likewise.api.crowds import Room
from likewise.api.operators.documents import (
    NDJSON,
    NDJSON_TYPE,
    Row,
    bad_after,
    created,
    page,
    text_of,
    window_of,
)
from likewise.api.parameters import DELETED
from likewise.asgi import Headers, Request, Response
from likewise.domain import LIBRARY_KINDS, Item, LibraryItem, Listener, library_kind_of
from likewise.errors import BadBody, BadName, BodyTooLarge, LikewiseError, ResourceNotFound
from likewise.ndjson import encode_lines, moment
from likewise.wire import decode_object, error_object

BULK_BYTES_MAX = 1024 * 1024
BULK_LINES_MAX = 10_000
BULK_AT_ONCE_MAX = 8
"""Bodies in bulk at once in a worker. With `_LINES_AT_ONCE` they leave room for others among the writes that wait."""
BULK_SECONDS_MAX = 30.0
"""How long all lines together may wait for the database, instead of what other requests may."""
# As many as share a commit, and as are read without letting other requests in between.
_LINES_AT_ONCE = 100


async def get_many(admin: Admin, request: Request, name: str) -> Response:
    window = window_of(request.query)
    after = None if window.after is None else _item_at(window.after)
    items = await admin.library(await admin.listener(name), after=after, limit=window.items_max + 1)
    return page(items, window, path=f"/_likewise/listeners/{name}/links", row=_row, cursor=_cursor)


def _cursor(item: LibraryItem) -> str:
    return f"{_type_of(item.item)}/{item.item.id}"


def _item_at(cursor: str) -> Item:
    type, _, id = cursor.partition("/")
    kind = LIBRARY_KINDS.get(type)
    if kind is None or not kind.has_id(id):
        raise bad_after(cursor)
    return Item(kind, id)


async def link(room: Room, admin: Admin, request: Request, name: str) -> Response:
    """Link one item or, when the body is NDJSON, one a line; that takes a place in the room."""
    if _is_ndjson(request.headers):
        async with room.place(request):
            return await _link_many(admin, name, await request.body(bytes_max=BULK_BYTES_MAX))
    body = decode_object(await request.body())
    await admin.link(name, _link_of(body))
    return created({member: body[member] for member in _MEMBERS})


_MEMBERS = ("type", "library_id", "catalog_id")


def _link_of(body: Mapping[str, Any]) -> Link:
    return link_of(*(text_of(body, member) for member in _MEMBERS))


async def unlink(admin: Admin, _request: Request, name: str, type: str, id: str) -> Response:
    kind = library_kind_of(type)
    if not kind.has_id(id):
        raise ResourceNotFound
    await admin.unlink(name, Item(kind, id))
    return DELETED


def _row(item: LibraryItem) -> Row:
    return {
        "type": _type_of(item.item),
        "library_id": item.item.id,
        "catalog_id": item.twin.id if item.twin else None,
        "added": moment(item.added),
    }


def _type_of(item: Item) -> str:
    return item.kind.type.removeprefix("library-")


# In bulk


def _is_ndjson(headers: Headers) -> bool:
    media_type, _, _ = headers.get(b"content-type", b"").partition(b";")
    return media_type.strip().lower() == NDJSON_TYPE


class _Line(NamedTuple):
    """A line of a body; `number` counts from 1, empty lines too."""

    number: int
    text: bytes


async def _link_many(admin: Admin, name: str, body: bytes) -> Response:
    wanted = _lines_of(body)
    results: list[Row] = []
    with admin.bounded(BULK_SECONDS_MAX):
        listener = await admin.listener(name)
        for start in range(0, len(wanted), _LINES_AT_ONCE):
            results += await _link_lines(admin, listener, wanted[start : start + _LINES_AT_ONCE])
    return Response(200, encode_lines(results), NDJSON)


def _lines_of(body: bytes) -> list[_Line]:
    body = body.removesuffix(b"\n")
    if body.count(b"\n") >= BULK_LINES_MAX:
        raise BodyTooLarge(BULK_LINES_MAX, "lines")
    return [_Line(number, text) for number, text in enumerate(body.split(b"\n"), start=1) if text.strip()]


async def _link_lines(admin: Admin, listener: Listener, wanted: Sequence[_Line]) -> list[Row]:
    """Link what these lines say, and say of each, in their order, what came of it."""
    read = [_read_line(line.text) for line in wanted]
    refusals = iter(await admin.link_many(listener, [each for each in read if isinstance(each, Link)]))
    await asyncio.sleep(0)  # where no line could be read, nothing has let other requests in between
    outcomes = [next(refusals) if isinstance(each, Link) else each for each in read]
    return [_result(line.number, outcome) for line, outcome in zip(wanted, outcomes, strict=True)]


def _read_line(text: bytes) -> Link | BadBody | BadName:
    try:
        return _link_of(decode_object(text))
    except (BadBody, BadName) as error:
        return error


def _result(line: int, refusal: LikewiseError | None) -> Row:
    if refusal is None:
        return {"line": line, "status": "linked"}
    return {"line": line, "errors": [error_object(refusal)]}
