"""What reads all of one listener's ratings or library: the newest of them, the change feed, tombstones to remove.

With a million ratings that takes a tenth of a second, so it runs on one reading thread with a connection of its own,
and the event loop goes on meanwhile.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apsw

from likewise.domain import ChangesPage, History, Kind, LibraryPage, Place, RatingsPage, Time, Value
from likewise.errors import ListenerRemoved, StoreUnavailable
from likewise.stores.rows import changed_of, library_item_of, listed_rating_of, place_of
from likewise.stores.sqlite.opening import unavailable
from likewise.stores.turns import Turns

Found = TypeVar("Found")

WAIT_SECONDS_MAX = 5.0
"""How long a scan may wait for those before it: as long as a request may for a database across a network."""

_HISTORY = "SELECT changes, forgotten, era FROM listeners WHERE id = ?"

# Kinds are digits, and come as a text of digits.
_MATCHING = """
FROM ratings
WHERE listener = :listener AND value <> 0
    AND (:value IS NULL OR value = :value)
    AND (:kinds IS NULL OR instr(:kinds, kind))
"""

# The page and the total are two passes: with a window, one pass took four times as long as both.
# The page is found first, so that library ids are looked up for what it shows alone.
_NEWEST = f"""
SELECT page.kind, page.id, page.value, page.time, library.id
FROM (
    SELECT listener, kind, id, value, time
    {_MATCHING}
        AND (:time IS NULL OR time < :time OR (time = :time AND (kind, id) > (:after_kind, :after_id)))
    ORDER BY time DESC, kind, id
    LIMIT :limit
) AS page
LEFT JOIN library
    ON library.listener = page.listener AND library.kind = page.kind + 5 AND library.twin = page.id
    AND NOT library.is_dead
ORDER BY page.time DESC, page.kind, page.id
"""  # noqa: S608 - our own words

_TOTAL = f"SELECT count(*) {_MATCHING}"

_CHANGES = """
SELECT kind, id, value, time, change
FROM ratings
WHERE listener = ? AND change > ?
ORDER BY change
LIMIT ?
"""

_TOMBSTONES = """
SELECT kind, id, change
FROM ratings
WHERE listener = ? AND value = 0 AND time < ?
ORDER BY change
LIMIT ?
"""

_LIBRARY_PAGE = """
SELECT kind, id, twin, added
FROM library
WHERE listener = ? AND kind = ? AND NOT is_dead
ORDER BY added DESC, change DESC
LIMIT ? OFFSET ?
"""

_LIBRARY_SIZE = "SELECT count(*) FROM library WHERE listener = ? AND kind = ? AND NOT is_dead"


class Scanner:
    """Runs scans, one at a time, in a thread of their own; inline where the database has one connection only."""

    def __init__(self, connection: apsw.Connection, *, has_thread: bool) -> None:
        self._connection = connection
        self._turns = Turns(1, seconds_max=WAIT_SECONDS_MAX)
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="likewise-reader") if has_thread else None

    async def run(self, scan: Callable[[apsw.Connection], Found], *, listener: int) -> Found:
        """Return what a scan of a listener's finds; raise `StoreUnavailable` also where too many are waiting."""
        if self._thread is None:
            return scan(self._connection)  # nobody writes meanwhile
        async with self._turns.of(listener):
            if self._is_closed:
                raise StoreUnavailable("the database has been closed")
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, scan)

    def _run(self, scan: Callable[[apsw.Connection], Found]) -> Found:
        """Let all that is read see one moment of the database."""
        try:
            self._connection.execute("BEGIN")
            return scan(self._connection)
        except apsw.Error as error:
            raise unavailable(error) from error
        finally:
            # After a failure of the disk, SQLite has ended the transaction by itself.
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Finish what the thread has; whoever still waits for a turn is refused."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.shutdown()
            self._connection.close()


def history(connection: apsw.Connection, *, listener: int) -> History:
    row = connection.execute(_HISTORY, (listener,)).fetchone()
    if row is None:
        raise ListenerRemoved
    return History(*row)


def newest_ratings(
    connection: apsw.Connection,
    *,
    listener: int,
    after: Place | None,
    limit: int,
    kinds: Collection[Kind] | None,
    value: Value | None,
) -> RatingsPage:
    kind_number, id = place_of(after.item if after else None)
    bindings = {
        "listener": listener,
        "value": value,
        "kinds": None if kinds is None else "".join(str(kind.number) for kind in kinds),
        "time": after.time if after else None,
        "after_kind": kind_number,
        "after_id": id,
        "limit": limit,
    }
    moment = history(connection, listener=listener)
    rows: list[Any] = connection.execute(_NEWEST, bindings).fetchall()
    [[total]] = connection.execute(_TOTAL, bindings)
    return RatingsPage([listed_rating_of(*row) for row in rows], total, moment)


def changes(connection: apsw.Connection, *, listener: int, after: int, limit: int) -> ChangesPage:
    moment = history(connection, listener=listener)
    rows: list[Any] = connection.execute(_CHANGES, (listener, after, limit)).fetchall()
    return ChangesPage([changed_of(*row) for row in rows], moment)


def tombstones(connection: apsw.Connection, *, listener: int, before: Time, limit: int) -> list[tuple[int, str, int]]:
    rows: list[Any] = connection.execute(_TOMBSTONES, (listener, before, limit)).fetchall()
    return rows


def library_page(connection: apsw.Connection, *, listener: int, kind: Kind, limit: int, offset: int) -> LibraryPage:
    rows: list[Any] = connection.execute(_LIBRARY_PAGE, (listener, kind.number, limit, offset)).fetchall()
    [[total]] = connection.execute(_LIBRARY_SIZE, (listener, kind.number))
    return LibraryPage([library_item_of(*row) for row in rows], total)
