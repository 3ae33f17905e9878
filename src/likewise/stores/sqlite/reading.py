"""What is read in a few microseconds, on the event loop: a look-up, a page.

All that is asked for in one turn of the loop is read at one moment of the database, for half a point read is taking
its lock. What reads all that a listener has is in `scans.py`.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import apsw

from likewise.domain import (
    KINDS_BY_NUMBER,
    TWINS,
    ChangesPage,
    Clue,
    DeveloperKey,
    Item,
    ItemName,
    Kind,
    LibraryItem,
    LibraryPage,
    Listener,
    Place,
    Rating,
    RatingsPage,
    UserToken,
    Value,
)
from likewise.errors import NoSuchListener
from likewise.store import Store
from likewise.stores.rows import VALUES, library_item_of, place_of, user_token_of
from likewise.stores.sqlite import scans
from likewise.stores.sqlite.names import named, names_of
from likewise.stores.sqlite.opening import unavailable

Found = TypeVar("Found")

_CATALOG_RATING = "SELECT value, time FROM ratings WHERE listener = ? AND kind = ? AND id = ? AND value <> 0"

# CROSS JOIN, which SQLite does not turn round: rows come in the order of what was asked, each with its number there.
_CATALOG_RATINGS = """
SELECT asked.key, ratings.value, ratings.time
FROM json_each(:ids) AS asked
CROSS JOIN ratings ON ratings.listener = :listener AND ratings.kind = :kind AND ratings.id = asked.value
WHERE ratings.value <> 0
"""

_LIBRARY_RATINGS = """
SELECT asked.key, ratings.value, ratings.time
FROM json_each(:ids) AS asked
CROSS JOIN library ON library.listener = :listener AND library.kind = :kind AND library.id = asked.value
CROSS JOIN ratings
    ON ratings.listener = library.listener
    AND ratings.kind = iif(library.twin IS NULL, library.kind, :twin_kind)
    AND ratings.id = ifnull(library.twin, library.id)
WHERE NOT library.is_dead AND ratings.value <> 0
"""

_RATINGS_PAGE = """
SELECT kind, id, value, time, value <> 0
FROM ratings
WHERE listener = ? AND (kind, id) > (?, ?)
ORDER BY kind, id
LIMIT ?
"""

_LIBRARY_ITEMS = """
SELECT kind, id, twin, added
FROM library
WHERE listener = ? AND kind = ? AND id IN (SELECT value FROM json_each(?)) AND NOT is_dead
"""

_LIBRARY_TWIN = """
SELECT kind, id, twin, added FROM library WHERE listener = ? AND kind = ? AND twin = ? AND NOT is_dead
"""

_LIBRARY = """
SELECT kind, id, twin, added, NOT is_dead
FROM library
WHERE listener = ? AND (kind, id) > (?, ?)
ORDER BY kind, id
LIMIT ?
"""

_LISTENERS_PAGE = "SELECT id, name, storefront FROM listeners WHERE name > ? ORDER BY name LIMIT ?"

_KEYS = "SELECT id, team_id, public_key, created, revoked FROM developer_keys"

_USER_TOKENS = """
SELECT user_tokens.id, listeners.id, name, storefront, team_id, created, expires, revoked
FROM user_tokens
JOIN listeners ON listeners.id = user_tokens.listener
"""


class SQLiteReading(Store):
    """All of the port that reads. `alone` is whether `reader` is the one connection, which writes too."""

    def __init__(self, reader: apsw.Connection, scanner: apsw.Connection, *, alone: bool) -> None:
        self._reader = reader
        # One for all that is read at once and whole: a cursor of its own would take as long as the look-up.
        self._cursor = reader.cursor()
        self._scanner = scans.Scanner(scanner, has_thread=not alone)
        # With one connection for everything, no read needs a turn: nobody writes between two that follow one another.
        self._is_in_turn = alone

    def _read(self, sql: str, bindings: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if not self._is_in_turn:
            self._begin_turn()
        try:
            return self._cursor.execute(sql, bindings).fetchall()
        except apsw.Error as error:
            raise unavailable(error) from error

    def _begin_turn(self) -> None:
        """Let all reads of this turn of the event loop see one moment, for half a point read is taking its lock.

        The end is put into the loop's queue before the moment is taken. So whatever reads at this moment was queued
        before it, by somebody who had not heard yet of any later write; what is queued from now on reads after the end.
        """
        asyncio.get_running_loop().call_soon(self._end_turn)
        self._is_in_turn = True
        with suppress(apsw.Error):  # then each read is on its own, and says what is wrong
            self._cursor.execute("BEGIN")

    def _end_turn(self) -> None:
        self._is_in_turn = False
        # After a failure of the disk, SQLite has ended the transaction by itself; a closed connection has none.
        with suppress(apsw.Error):
            if self._reader.in_transaction:
                self._cursor.execute("COMMIT")

    async def get(self, listener: Listener, items: Sequence[Item]) -> list[Rating]:
        if len(items) == 1:
            [item] = items
            kind, id = item
            if not kind.is_library:
                rows = self._read(_CATALOG_RATING, (listener.id, kind.number, id))
                return [Rating(item, VALUES[value], time) for value, time in rows]
        kinds = {item.kind for item in items}
        if len(kinds) == 1:
            return self._get_of_kind(listener, kinds.pop(), items)
        found: dict[Item, Rating] = {}
        for kind in kinds:
            for rating in self._get_of_kind(listener, kind, [item for item in items if item.kind is kind]):
                found[rating.item] = rating
        return [found[item] for item in items if item in found]

    def _get_of_kind(self, listener: Listener, kind: Kind, items: Sequence[Item]) -> list[Rating]:
        bindings = {"listener": listener.id, "kind": kind.number, "ids": _json([item.id for item in items])}
        if kind.is_library:
            rows = self._read(_LIBRARY_RATINGS, bindings | {"twin_kind": TWINS[kind].number})
        else:
            rows = self._read(_CATALOG_RATINGS, bindings)
        return [Rating(items[number], VALUES[value], time) for number, value, time in rows]

    async def ratings(self, listener: Listener, *, after: Item | None, limit: int) -> list[Rating]:
        rows = await self._live_rows(_RATINGS_PAGE, listener, after, limit)
        return [Rating(Item(KINDS_BY_NUMBER[kind], id), VALUES[value], time) for kind, id, value, time in rows]

    async def _live_rows(self, sql: str, listener: Listener, after: Item | None, limit: int) -> list[tuple[Any, ...]]:
        """Read the first `limit` rows past an item that are alive, which the last column says.

        No more at a time: a million that are dead may lie in a row, and others want their turn of the loop.
        """
        live: list[tuple[Any, ...]] = []
        place = place_of(after)
        while True:
            rows = self._read(sql, (listener.id, *place, limit))
            live += [row[:-1] for row in rows if row[-1]]
            if len(rows) < limit or len(live) >= limit:
                return live[:limit]
            place = rows[-1][:2]
            await asyncio.sleep(0)

    async def newest_ratings(
        self,
        listener: Listener,
        *,
        after: Place | None,
        limit: int,
        kinds: Collection[Kind] | None = None,
        value: Value | None = None,
    ) -> RatingsPage:
        find = partial(scans.newest_ratings, listener=listener.id, after=after, limit=limit, kinds=kinds, value=value)
        return await self._scanner.run(find, listener=listener.id)

    async def changes(self, listener: Listener, *, after: int, limit: int) -> ChangesPage:
        history = self._read_with(partial(scans.history, listener=listener.id))
        if history.last <= after:
            return ChangesPage([], history)
        find = partial(scans.changes, listener=listener.id, after=after, limit=limit)
        return await self._scanner.run(find, listener=listener.id)

    def _read_with(self, read: Callable[[apsw.Connection], Found]) -> Found:
        if not self._is_in_turn:
            self._begin_turn()
        try:
            return read(self._reader)
        except apsw.Error as error:
            raise unavailable(error) from error

    async def names(self, listener: Listener | None, items: Collection[Item]) -> list[ItemName]:
        return self._read_with(partial(names_of, listener=listener.id if listener else None, items=items))

    async def named(
        self, listener: Listener | None, clue: Clue, texts: Collection[str], *, limit: int
    ) -> dict[str, list[ItemName]]:
        owner = listener.id if listener else None
        return self._read_with(partial(named, listener=owner, clue=clue, texts=texts, limit=limit))

    async def library(self, listener: Listener, *, after: Item | None, limit: int) -> list[LibraryItem]:
        return [library_item_of(*row) for row in await self._live_rows(_LIBRARY, listener, after, limit)]

    async def library_items(self, listener: Listener, items: Sequence[Item]) -> list[LibraryItem]:
        found: dict[Item, LibraryItem] = {}
        for kind in {item.kind for item in items}:
            ids = _json([item.id for item in items if item.kind is kind])
            for row in self._read(_LIBRARY_ITEMS, (listener.id, kind.number, ids)):
                library_item = library_item_of(*row)
                found[library_item.item] = library_item
        return [found[item] for item in items if item in found]

    async def library_twin(self, listener: Listener, catalog_item: Item) -> LibraryItem | None:
        kind = TWINS.get(catalog_item.kind)
        if kind is None:
            return None
        rows = self._read(_LIBRARY_TWIN, (listener.id, kind.number, catalog_item.id))
        return library_item_of(*rows[0]) if rows else None

    async def library_page(self, listener: Listener, kind: Kind, *, limit: int, offset: int) -> LibraryPage:
        find = partial(scans.library_page, listener=listener.id, kind=kind, limit=limit, offset=offset)
        return await self._scanner.run(find, listener=listener.id)

    async def listener(self, name: str) -> Listener:
        rows = self._read("SELECT id, name, storefront FROM listeners WHERE name = ?", (name,))
        if not rows:
            raise NoSuchListener(name)
        return Listener(*rows[0])

    async def listeners(self, *, after: str = "", limit: int | None = None) -> list[Listener]:
        return [Listener(*row) for row in self._read(_LISTENERS_PAGE, (after, -1 if limit is None else limit))]

    async def developer_key(self, key_id: str) -> DeveloperKey | None:
        rows = self._read(f"{_KEYS} WHERE id = ?", (key_id,))
        return DeveloperKey(*rows[0]) if rows else None

    async def developer_keys(self) -> list[DeveloperKey]:
        return [DeveloperKey(*row) for row in self._read(f"{_KEYS} ORDER BY created, id", ())]

    async def user_token(self, digest: bytes) -> UserToken | None:
        rows = self._read(f"{_USER_TOKENS} WHERE digest = ?", (digest,))
        return user_token_of(*rows[0]) if rows else None

    async def user_tokens(self, listener: Listener) -> list[UserToken]:
        rows = self._read(f"{_USER_TOKENS} WHERE listener = ? ORDER BY created, user_tokens.id", (listener.id,))
        return [user_token_of(*row) for row in rows]


def _json(ids: Sequence[str]) -> str:
    # Ids are well formed, so none holds a character that JSON would escape.
    return '["' + '","'.join(ids) + '"]'
