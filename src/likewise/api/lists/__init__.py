"""What Apple's API does not have: all of one's ratings, what changed since, many at once, and all as lines.

Where a rating is named it is under the item it is stored under; its library id, if there is one, stands beside it.
"""

from collections.abc import AsyncGenerator, Callable, Sequence

from likewise.api.crowds import Room
from likewise.api.lists.bulk import BULK_AT_ONCE_MAX, BULK_BYTES_MAX, BULK_EACH_MAX, changes_of, encode_outcomes
from likewise.api.lists.cursors import cursor_of, moment_of, offset_of, place_of
from likewise.api.lists.documents import encode_page, rating_document
from likewise.api.lists.filters import filter_of
from likewise.api.names import names_of
from likewise.api.parameters import NO_STORE, includes, language_for, limit_of, personal_document
from likewise.asgi import HeaderPair, Query, Request, Response
from likewise.domain import Change, ListedRating, Listener, Place, Rating, Time
from likewise.errors import BadParameter, CursorGone
from likewise.ndjson import encode_ratings
from likewise.store import Store

PAGE_DEFAULT = 25
CHANGES_PAGE_DEFAULT = 100
CHANGES_PAGE_MAX = 1_000
LINES_PAGE = 1_000

_NOT_WITH_SINCE = ("offset", "filter[type]", "filter[value]")
_NEVER = 2**63 - 1
_EXPOSED: HeaderPair = (b"access-control-expose-headers", b"Likewise-Cursor")


class Lists:
    def __init__(self, store: Store, *, now: Callable[[], Time]) -> None:
        self._store = store
        self._now = now
        self._room = Room(BULK_AT_ONCE_MAX, each_max=BULK_EACH_MAX)

    async def get(self, listener: Listener, request: Request) -> Response:
        language = language_for(listener, request.query)
        since = request.query.last("since")
        if since is None:
            return await self._get_newest(listener, request.query, language)
        return await self._get_changes(listener, request.query, since, language)

    # All, newest first

    async def _get_newest(self, listener: Listener, query: Query, language: str) -> Response:
        limit, offset = limit_of(query), query.last("offset")
        after = None if offset is None else place_of(offset)
        wanted = filter_of(query)
        shown = limit or PAGE_DEFAULT
        page = await self._store.newest_ratings(
            listener, after=after, limit=shown + 1, kinds=wanted.kinds, value=wanted.value
        )
        ratings = page.ratings[:shown]
        documents = await self._documents(listener, query, ratings)
        next_offset = offset_of(Place(ratings[-1].time, ratings[-1].item)) if len(page.ratings) > shown else None
        cursor = cursor_of(page.history.era, page.history.last) if after is None else None
        body = encode_page(documents, query, offset=next_offset, cursor=cursor, total=page.total)
        return personal_document(body, language)

    async def _documents(self, listener: Listener, query: Query, ratings: Sequence[ListedRating]) -> Sequence[object]:
        both = {item for rating in ratings for item in (rating.item, rating.library_item) if item}
        names = await names_of(self._store, listener, both)
        storefront_id = listener.storefront if includes(query, "content") else None
        documents = []
        for item, value, time, library_item in ratings:
            name = names.get(item) or (names.get(library_item) if library_item else None)
            library_twin = None if library_item == item else library_item
            documents.append(rating_document(item, value, time, name, storefront_id, library_twin))
        return documents

    # What changed since

    async def _get_changes(self, listener: Listener, query: Query, since: str, language: str) -> Response:
        shown = limit_of(query, most=CHANGES_PAGE_MAX) or CHANGES_PAGE_DEFAULT
        for parameter in _NOT_WITH_SINCE:
            if query.last(parameter) is not None:
                raise BadParameter(parameter, f"'{parameter}' and 'since' do not go together")
        era, after = moment_of(since)
        changes, history = await self._store.changes(listener, after=after, limit=shown + 1)
        if era != history.era or not history.forgotten <= after <= history.last:
            raise CursorGone
        has_more = len(changes) > shown
        changes = changes[:shown]
        names = await names_of(self._store, listener, [change.item for change in changes])
        storefront_id = listener.storefront if includes(query, "content") else None
        documents = [
            rating_document(item, value, time, names.get(item), storefront_id, None) for item, value, time, _ in changes
        ]
        cursor = cursor_of(era, changes[-1].number if has_more else history.last)
        return personal_document(encode_page(documents, query, since=has_more, cursor=cursor), language)

    # Many at once

    async def write(self, listener: Listener, request: Request) -> Response:
        """Set and clear up to 1 000 ratings in one transaction; what is wrong with one keeps no other out."""
        language = language_for(listener, request.query)
        async with self._room.place(request):
            wanted = changes_of(await request.body(bytes_max=BULK_BYTES_MAX))
            changes = [each for each in wanted if isinstance(each, Change)]
            done = await self._store.write(listener, changes, now=self._now()) if changes else []
            return personal_document(encode_outcomes(wanted, done), language)

    # All as lines

    async def get_lines(self, listener: Listener, request: Request) -> Response:
        """Answer with all ratings, one a line, read and sent a page at a time."""
        language = language_for(listener, request.query)
        # Taken first: what changes while the lines are read is found again by whoever follows from here.
        _, history = await self._store.changes(listener, after=_NEVER, limit=1)
        first = await self._store.ratings(listener, after=None, limit=LINES_PAGE)
        rest = self._lines_after(listener, first) if len(first) == LINES_PAGE else None
        headers = (
            (b"content-type", b"application/x-ndjson"),
            (b"content-language", language.encode()),
            NO_STORE,
            (b"likewise-cursor", cursor_of(history.era, history.last).encode()),
            _EXPOSED,
        )
        return Response(200, encode_ratings(first), headers, rest)

    async def _lines_after(self, listener: Listener, ratings: list[Rating]) -> AsyncGenerator[bytes]:
        while ratings := await self._store.ratings(listener, after=ratings[-1].item, limit=LINES_PAGE):
            yield encode_ratings(ratings)
