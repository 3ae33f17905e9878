"""Listeners: create, list, read, erase; and all ratings of one."""

from collections.abc import AsyncGenerator

from likewise.admin import RATINGS_PAGE, Admin, newcomer_of
from likewise.api.operators.documents import (
    NDJSON,
    Row,
    bad_after,
    created,
    found,
    page,
    text_of,
    window_of,
)
from likewise.api.parameters import DELETED
from likewise.asgi import Request, Response
from likewise.domain import Listener, Rating, has_listener_name
from likewise.ndjson import encode_ratings
from likewise.wire import decode_object


async def add(admin: Admin, request: Request) -> Response:
    body = decode_object(await request.body())
    newcomer = newcomer_of(text_of(body, "name"), text_of(body, "storefront"))
    return created(_row(await admin.add_listener(newcomer)))


async def get_many(admin: Admin, request: Request) -> Response:
    window = window_of(request.query)
    after = window.after or ""
    if after and not has_listener_name(after):
        raise bad_after(after)
    listeners = await admin.listeners(after=after, limit=window.items_max + 1)
    return page(listeners, window, path="/_likewise/listeners", row=_row, cursor=lambda listener: listener.name)


async def get(admin: Admin, _request: Request, name: str) -> Response:
    return found(_row(await admin.listener(name)))


async def remove(admin: Admin, _request: Request, name: str) -> Response:
    await admin.remove_listener(name)
    return DELETED


def _row(listener: Listener) -> Row:
    return {"name": listener.name, "storefront": listener.storefront}


async def get_ratings(admin: Admin, _request: Request, name: str) -> Response:
    """Answer with all ratings, one a line, read and sent a page at a time."""
    listener = await admin.listener(name)
    first = await admin.ratings(listener)
    rest = _pages_after(admin, listener, first) if len(first) == RATINGS_PAGE else None
    return Response(200, encode_ratings(first), NDJSON, rest)


async def _pages_after(admin: Admin, listener: Listener, ratings: list[Rating]) -> AsyncGenerator[bytes]:
    while ratings := await admin.ratings(listener, after=ratings[-1].item):
        yield encode_ratings(ratings)
