"""The library: adding to it, reading it, removing from it, and both directions of the link to the catalog.

https://developer.apple.com/documentation/applemusicapi/library
"""

from collections.abc import Callable

from likewise import wire
from likewise.api.parameters import (
    ACCEPTED,
    DELETED,
    Window,
    ids_of,
    items_by_type,
    language_for,
    personal_document,
    window_of,
)
from likewise.asgi import Request, Response
from likewise.domain import KINDS, TWINS, Item, Kind, Listener, Time, items_of, kind_of, library_kind_of
from likewise.errors import NoRelatedResources, ResourceNotFound, UnknownResourceType
from likewise.store import Store

_PAGE_DEFAULT = 25
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_CHARACTERS = 14
_ALBUM_ID_CHARACTERS = 7
_ADDABLE_KINDS = {kind.type: kind for kind in TWINS if not kind.is_library}
_LIBRARY_KINDS = {kind.type: kind for kind in KINDS.values() if kind.is_library}


class Library:
    """What a listener has in their library, and which catalog item each of it is."""

    def __init__(
        self, store: Store, *, now: Callable[[], Time], random_bytes: Callable[[int], bytes], ids_max: int
    ) -> None:
        self._store = store
        self._now = now
        self._random_bytes = random_bytes
        self._ids_max = ids_max

    async def add(self, listener: Listener, request: Request) -> Response:
        language_for(listener, request.query)
        items = items_by_type(request.query, _ADDABLE_KINDS, ids_max=self._ids_max)
        links = [(mint_library_item(TWINS[item.kind], self._random_bytes), item) for item in items]
        await self._store.add(listener, links, now=self._now())
        return ACCEPTED

    async def get_resources(self, listener: Listener, request: Request) -> Response:
        language = language_for(listener, request.query)
        items = items_by_type(request.query, _LIBRARY_KINDS, ids_max=self._ids_max)
        found = await self._store.library_items(listener, items)
        return personal_document(wire.encode_library_items(found), language)

    async def get_many(self, listener: Listener, request: Request, type: str) -> Response:
        kind = library_kind_of(type)
        language = language_for(listener, request.query)
        ids = ids_of(request.query, ids_max=self._ids_max) if request.query.all("ids") else None
        window = window_of(request.query)
        if ids is None:
            return await self._get_page(listener, request, kind, window, language)
        found = await self._store.library_items(listener, items_of(kind, ids))
        return personal_document(wire.encode_library_items(found), language)

    async def _get_page(
        self, listener: Listener, request: Request, kind: Kind, window: Window, language: str
    ) -> Response:
        limit, offset = window
        page = await self._store.library_page(listener, kind, limit=limit or _PAGE_DEFAULT, offset=offset)
        seen = offset + len(page.items)
        next_href = None
        if page.items and seen < page.total:
            path = f"/v1/me/library/{kind.type.removeprefix('library-')}"
            next_href = wire.next_href(path, limit=limit, offset=seen, language_tag=request.query.last("l"))
        return personal_document(wire.encode_library_page(page, next_href), language)

    async def get(self, listener: Listener, request: Request, type: str, id: str) -> Response:
        kind = library_kind_of(type)
        language = language_for(listener, request.query)
        found = await self._store.library_items(listener, items_of(kind, [id]))
        if not found:
            raise ResourceNotFound
        return personal_document(wire.encode_library_items(found), language)

    async def remove(self, listener: Listener, request: Request, type: str, id: str) -> Response:
        kind = library_kind_of(type)
        language_for(listener, request.query)
        if not kind.has_id(id) or not await self._store.unlink(listener, Item(kind, id), now=self._now()):
            raise ResourceNotFound
        return DELETED

    async def get_catalog(self, listener: Listener, request: Request, type: str, id: str) -> Response:
        kind = library_kind_of(type)
        language = language_for(listener, request.query)
        for item in await self._store.library_items(listener, items_of(kind, [id])):
            if item.twin is None:
                break
            return personal_document(wire.encode_resource(item.twin, listener.storefront), language)
        raise NoRelatedResources("catalog")

    async def get_library(self, listener: Listener, request: Request, storefront: str, type: str, id: str) -> Response:
        kind = kind_of(type)
        if kind.is_library:
            raise UnknownResourceType(type)
        language = language_for(listener, request.query)
        if storefront != listener.storefront:
            raise ResourceNotFound
        twin = await self._store.library_twin(listener, Item(kind, id)) if kind.has_id(id) else None
        if twin is None:
            raise NoRelatedResources("library")
        return personal_document(wire.encode_library_items([twin]), language)


def mint_library_item(kind: Kind, random_bytes: Callable[[int], bytes]) -> Item:
    """Name a new library item: the kind's prefix and 14 letters and digits, 7 for albums."""
    characters = _ALBUM_ID_CHARACTERS if kind is Kind.LIBRARY_ALBUM else _ID_CHARACTERS
    number = int.from_bytes(random_bytes(16))
    letters = []
    for _ in range(characters):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return Item(kind, kind.prefix + "".join(letters))
