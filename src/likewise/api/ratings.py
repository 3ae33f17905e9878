"""Personal ratings: get one, get many, put, delete, and the favorites that set and clear likes.

https://developer.apple.com/documentation/applemusicapi/ratings
"""

from collections.abc import Callable

from likewise import wire
from likewise.api.names import names_of
from likewise.api.parameters import (
    ACCEPTED,
    DELETED,
    ids_of,
    includes,
    items_by_type,
    language_for,
    personal_document,
)
from likewise.asgi import Request, Response
from likewise.domain import KINDS, Change, Listener, Rating, Time, Value, item_of, items_of, kind_of
from likewise.errors import NotRated
from likewise.store import Store


class Ratings:
    """Personal ratings: get one, get many, put, delete; favorites are likes. Of one request, at most `ids_max` ids."""

    def __init__(self, store: Store, *, now: Callable[[], Time], ids_max: int, shows_names: bool) -> None:
        self._store = store
        self._now = now
        self._ids_max = ids_max
        self._shows_names = shows_names

    async def get(self, listener: Listener, request: Request, type: str, id: str) -> Response:
        item = item_of(kind_of(type), id)
        language = language_for(listener, request.query)
        ratings = await self._store.get(listener, [item])
        if not ratings:
            raise NotRated
        return await self._document(ratings, listener, request, language)

    async def get_many(self, listener: Listener, request: Request, type: str) -> Response:
        kind = kind_of(type)
        language = language_for(listener, request.query)
        items = items_of(kind, ids_of(request.query, ids_max=self._ids_max))
        return await self._document(await self._store.get(listener, items), listener, request, language)

    async def put(self, listener: Listener, request: Request, type: str, id: str) -> Response:
        item = item_of(kind_of(type), id)
        language = language_for(listener, request.query)
        value = wire.decode_rating_request(await request.body())
        now = self._now()
        await self._store.put(listener, item, value, now=now)
        return personal_document(wire.encode_ratings([Rating(item, value, now)]), language)

    async def delete(self, listener: Listener, request: Request, type: str, id: str) -> Response:
        item = item_of(kind_of(type), id)
        language_for(listener, request.query)
        if not await self._store.delete(listener, item, now=self._now()):
            raise NotRated
        return DELETED

    async def favorite(self, listener: Listener, request: Request) -> Response:
        language_for(listener, request.query)
        items = items_by_type(request.query, KINDS, ids_max=self._ids_max)
        await self._store.write(listener, [Change(item, Value.LIKE) for item in items], now=self._now())
        return ACCEPTED

    async def unfavorite(self, listener: Listener, request: Request) -> Response:
        """Clear likes. A dislike is no favorite, so it stays."""
        language_for(listener, request.query)
        items = items_by_type(request.query, KINDS, ids_max=self._ids_max)
        await self._store.write(listener, [Change(item, None, Value.LIKE) for item in items], now=self._now())
        return ACCEPTED

    async def _document(self, ratings: list[Rating], listener: Listener, request: Request, language: str) -> Response:
        if not includes(request.query, "content"):
            return personal_document(wire.encode_ratings(ratings), language)
        items = [rating.item for rating in ratings]
        names = await names_of(self._store, listener, items) if self._shows_names else {}
        return personal_document(wire.encode_ratings_with_content(ratings, listener.storefront, names), language)
