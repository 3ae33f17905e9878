"""Giving likes out: a listener's ratings in the words of ours and of other services, page by page."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import msgspec

from likewise.domain import Item, ItemName, LibraryItem, Listener, Rating, Value
from likewise.ndjson import encode_lines
from likewise.store import Store
from likewise.transfer.formats import others, own_lines, own_table

Document: TypeAlias = dict[str, Any]

PAGE = 2_000

_encode = msgspec.json.Encoder().encode


@dataclass
class Tally:
    """How many ratings went out, and how many the format cannot say or were not asked for."""

    written: int = 0
    left_out: int = 0


async def exported(
    store: Store, listener: Listener, format: str, only: Value | None, tally: Tally
) -> AsyncIterator[bytes]:
    """Write a listener's ratings, all or those of one value, in one of `FORMATS`; count them in `tally`."""
    writer = FORMATS[format](store, listener, only, tally)
    async for chunk in writer:
        yield chunk


async def _lines(store: Store, listener: Listener, only: Value | None, tally: Tally) -> AsyncIterator[bytes]:
    if only is None:
        async for items, names in _library(store, listener):
            rated = {rating.item for rating in await store.get(listener, [each.item for each in items])}
            # A rated upload is written with its rating.
            shelved = [each for each in items if each.twin is not None or each.item not in rated]
            yield encode_lines([own_lines.line_of_shelved(each, names.get(each.item)) for each in shelved])
    async for ratings, names in _ratings(store, listener, only, tally):
        added = await _added(store, listener, ratings)
        tally.written += len(ratings)
        yield encode_lines(
            [own_lines.line_of_rating(each, names.get(each.item), added.get(each.item)) for each in ratings]
        )


async def _table(store: Store, listener: Listener, only: Value | None, tally: Tally) -> AsyncIterator[bytes]:
    yield own_table.header().encode()
    async for ratings, names in _ratings(store, listener, only, tally):
        tally.written += len(ratings)
        rows = [own_table.cells_of_rating(each, names.get(each.item)) for each in ratings]
        yield own_table.written(rows).encode()


async def _listenbrainz(store: Store, listener: Listener, only: Value | None, tally: Tally) -> AsyncIterator[bytes]:
    async for said in _said(store, listener, only, tally, others.listenbrainz_feedback):
        yield encode_lines(said)


async def _lastfm(store: Store, listener: Listener, only: Value | None, tally: Tally) -> AsyncIterator[bytes]:
    yield b'{"lovedtracks":{"track":[\n'
    async for chunk in _elements(_said(store, listener, only, tally, others.lastfm_track)):
        yield chunk
    yield b'\n],"@attr":%s}}\n' % _encode(others.lastfm_page(listener.name, tally.written))


async def _jspf(store: Store, listener: Listener, only: Value | None, tally: Tally) -> AsyncIterator[bytes]:
    value = only or Value.LIKE
    title = f"{'Likes' if value is Value.LIKE else 'Dislikes'} of {listener.name}"
    written = partial(others.jspf_track, storefront=listener.storefront)
    yield b'{"playlist":{"title":%s,"track":[\n' % _encode(title)
    async for chunk in _elements(_said(store, listener, value, tally, written)):
        yield chunk
    yield b"\n]}}\n"


FORMATS: dict[str, Callable[[Store, Listener, Value | None, Tally], AsyncIterator[bytes]]] = {
    "ndjson": _lines,
    "csv": _table,
    "jspf": _jspf,
    "listenbrainz": _listenbrainz,
    "lastfm": _lastfm,
}


async def _said(
    store: Store,
    listener: Listener,
    only: Value | None,
    tally: Tally,
    written: Callable[[Rating, ItemName | None], Document | None],
) -> AsyncIterator[list[Document]]:
    """Write page by page what a format can say."""
    async for ratings, names in _ratings(store, listener, only, tally):
        said = [document for each in ratings if (document := written(each, names.get(each.item))) is not None]
        tally.written += len(said)
        tally.left_out += len(ratings) - len(said)
        yield said


async def _elements(pages: AsyncIterator[list[Document]]) -> AsyncIterator[bytes]:
    """Write documents as the inside of a JSON array, a line each."""
    separator = b""
    async for page in pages:
        if page:
            yield separator + b",\n".join(map(_encode, page))
            separator = b",\n"


# Pages


async def _ratings(
    store: Store, listener: Listener, only: Value | None, tally: Tally
) -> AsyncIterator[tuple[list[Rating], dict[Item, ItemName]]]:
    after: Item | None = None
    while page := await store.ratings(listener, after=after, limit=PAGE):
        after = page[-1].item
        wanted = page if only is None else [each for each in page if each.value is only]
        tally.left_out += len(page) - len(wanted)
        yield wanted, await _names(store, listener, [each.item for each in wanted])


async def _library(store: Store, listener: Listener) -> AsyncIterator[tuple[list[LibraryItem], dict[Item, ItemName]]]:
    after: Item | None = None
    while page := await store.library(listener, after=after, limit=PAGE):
        after = page[-1].item
        yield page, await _names(store, listener, [each.item for each in page])


async def _names(store: Store, listener: Listener, items: Sequence[Item]) -> dict[Item, ItemName]:
    return {name.item: name for name in await store.names(listener, items)}


async def _added(store: Store, listener: Listener, ratings: Sequence[Rating]) -> dict[Item, int]:
    """Say of uploads among the rated when they came into the library."""
    uploads = [each.item for each in ratings if each.item.kind.is_library]
    if not uploads:
        return {}
    return {each.item: each.added for each in await store.library_items(listener, uploads)}
