"""The store in one SQLite file: write-ahead log, a commit on disk before every acknowledgement.

Reads run where they are asked for, on the event loop: a point read takes a few microseconds, a trip through a thread
many times that. What reads all that a listener has rated or added has a reading thread (`scans.py`). Writes wait for
one writer thread, which commits all that have gathered in one transaction, and which also copies the log back into the
database, so that the loop never waits for the disk.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self, TypeAlias, TypeVar

import apsw

from likewise.domain import (
    KINDS_BY_NUMBER,
    TWINS,
    Change,
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
    Time,
    UserToken,
    Value,
)
from likewise.errors import NoSuchListener
from likewise.records import Record
from likewise.store import CopyMark, Finding, Statistics, Store
from likewise.stores.batching import Batcher
from likewise.stores.migrating import Migration, OnStep
from likewise.stores.rows import VALUES, library_item_of, place_of, user_token_of
from likewise.stores.sqlite import keeping, scans, writes
from likewise.stores.sqlite.keeping import Run, SQLiteSnapshot, findings
from likewise.stores.sqlite.names import learn, named, names_of
from likewise.stores.sqlite.opening import MEMORY, connect, copy_mark, migrate, prepare, unavailable

Job: TypeAlias = Callable[[apsw.Connection], Any]
Found = TypeVar("Found")

_CHECKPOINT_PAGES = 1_000

# Holds a quarter of a million ratings, where SQLite's own 2 MB hold sixty thousand.
_CACHE_KIBIBYTES = 8_192

logger = logging.getLogger("likewise")

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


class SQLiteStore(Store):
    """A file, or `:memory:`. A memory database has one connection for everything, and its writes run on the loop."""

    @classmethod
    async def open(cls, path: str, *, create: bool, alone: bool = False, to_read: bool = False) -> Self:
        """Open `path` and bring its schema up to date; the errors are those of `likewise.stores.open_store`."""
        if path == MEMORY:
            connection = connect(path)
            prepare(connection, path)
            return cls(path, connection, connection, connection)
        opening = partial(cls._open_file, path, create=create, alone=alone, to_read=to_read)
        return await asyncio.get_running_loop().run_in_executor(None, opening)

    @classmethod
    def _open_file(cls, path: str, *, create: bool, alone: bool, to_read: bool) -> Self:
        writer = connect(path, create=create)
        try:
            prepare(writer, path, alone=alone, to_read=to_read)
            if alone:
                return cls(path, writer, writer, writer)
            reader = connect(path)
            for connection in (writer, reader):
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
            return cls(path, writer, reader, connect(path))
        except BaseException:
            writer.close()
            raise

    @classmethod
    async def migrate(cls, path: str, *, dry_run: bool, on_step: OnStep) -> Migration:  # noqa: ARG003 - no step is long
        """Bring the database up to date, as `likewise.stores.migrate` says."""
        return await asyncio.get_running_loop().run_in_executor(None, partial(migrate, path, dry_run=dry_run))

    def __init__(self, path: str, writer: apsw.Connection, reader: apsw.Connection, scanner: apsw.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        # One for all that is read at once and whole: a cursor of its own would take as long as the look-up.
        self._cursor = reader.cursor()
        self._scanner = scans.Scanner(scanner, has_thread=writer is not reader)
        self._log_pages = 0
        self._commits = 0
        self._is_closed = False
        # With one connection for everything, no read needs a turn: nobody writes between two that follow one another.
        self._is_in_turn = writer is reader
        self._writing = asyncio.Lock()
        self._batcher: Batcher[Job, Any] = Batcher(self._run)
        self._thread: ThreadPoolExecutor | None = None
        if path != MEMORY:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="likewise-writer")
            writer.set_wal_hook(self._note_log_pages)

    # Reading

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

    # Writing

    async def write(self, listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        done: list[bool] = await self._batcher.submit(
            partial(writes.write, listener=listener.id, changes=changes, now=now)
        )
        return done

    async def forget(self, listener: Listener, *, before: Time, limit: int) -> int:
        find = partial(scans.tombstones, listener=listener.id, before=before, limit=limit)
        tombstones = await self._scanner.run(find, listener=listener.id)
        if not tombstones:
            return 0
        gone: int = await self._batcher.submit(partial(writes.forget, listener=listener.id, tombstones=tombstones))
        return gone

    async def learn(self, listener: Listener | None, names: Sequence[ItemName]) -> None:
        await self._batcher.submit(partial(learn, listener=listener.id if listener else None, names=names))

    async def add(self, listener: Listener, links: Sequence[tuple[Item, Item]], *, now: Time) -> None:
        await self._batcher.submit(partial(writes.add, listener=listener.id, links=links, now=now))

    async def link(self, listener: Listener, library_item: Item, catalog_item: Item, *, now: Time) -> None:
        job = partial(writes.link, listener=listener.id, library_item=library_item, catalog_item=catalog_item, now=now)
        await self._batcher.submit(job)

    async def unlink(self, listener: Listener, library_item: Item, *, now: Time) -> bool:
        was_there: bool = await self._batcher.submit(
            partial(writes.unlink, listener=listener.id, item=library_item, now=now)
        )
        return was_there

    async def add_listener(self, name: str, storefront: str) -> Listener:
        id = await self._batcher.submit(partial(writes.add_listener, name=name, storefront=storefront))
        return Listener(id, name, storefront)

    async def remove_listener(self, name: str) -> None:
        await self._batcher.submit(partial(writes.remove_listener, name=name))

    async def add_developer_key(self, key: DeveloperKey) -> None:
        await self._batcher.submit(partial(writes.add_developer_key, key=key))

    async def revoke_developer_key(self, key_id: str, *, now: Time) -> None:
        await self._batcher.submit(partial(writes.revoke_developer_key, key_id=key_id, now=now))

    async def add_user_token(self, digest: bytes, token: UserToken) -> None:
        await self._batcher.submit(partial(writes.add_user_token, digest=digest, token=token))

    async def revoke_user_token(self, token_id: str, *, now: Time) -> None:
        await self._batcher.submit(partial(writes.revoke_user_token, token_id=token_id, now=now))

    # Everything at once

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[SQLiteSnapshot]:
        if self._path != MEMORY and self._reader is self._writer:  # opened alone: nobody else can write meanwhile
            async with self._writing:
                yield SQLiteSnapshot(self._writer, self._in_thread)
            return
        async with self._moment() as (connection, run):
            yield SQLiteSnapshot(connection, run)

    async def check(self) -> AsyncGenerator[Finding]:
        async with self._moment() as (connection, run):
            questions = findings(connection)
            while finding := await run(partial(next, questions, None)):
                yield finding

    @asynccontextmanager
    async def _moment(self) -> AsyncGenerator[tuple[apsw.Connection, Run]]:
        """Open a connection of its own on this moment of the database, and a thread for what is asked of it."""
        with ThreadPoolExecutor(1, thread_name_prefix="likewise-reader") as thread:
            run = partial(asyncio.get_running_loop().run_in_executor, thread)
            if self._path == MEMORY:
                async with self._writing:
                    connection = self._open_moment()
            else:
                connection = await run(self._open_moment)
            try:
                yield connection, run
            finally:
                connection.interrupt()  # whoever was cancelled is not kept waiting
                await asyncio.shield(run(connection.close))

    def _open_moment(self) -> apsw.Connection:
        connection = connect(self._path)
        try:
            if self._path == MEMORY:
                with connection.backup("main", self._writer, "main") as copying:
                    copying.step()
            connection.execute("BEGIN; SELECT 1 FROM listeners LIMIT 1").fetchall()
        except apsw.Error as error:
            connection.close()
            raise unavailable(error) from error
        return connection

    async def load(self, pages: AsyncIterator[Sequence[Record]], *, replace: bool = False) -> None:
        if self._path == MEMORY:
            # Who reads from memory would see what is written before it is committed, so nobody may come in between.
            pages = _again([page async for page in pages])
        async with self._transaction() as run:
            await run(partial(keeping.begin_load, self._writer, replace=replace))
            async for page in pages:
                await run(partial(keeping.insert, self._writer, page))
            await run(partial(keeping.finish_load, self._writer))

    async def amend(self, *, remove: Collection[int], records: Sequence[Record], mark: CopyMark) -> None:
        async with self._transaction() as run:
            await run(partial(keeping.amend, self._writer, remove=remove, records=records, mark=mark))

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Run]:
        """Have the writing connection to oneself, in a transaction that is committed when the block ends well."""
        async with self._writing:
            try:
                await self._in_thread(partial(self._writer.execute, "BEGIN IMMEDIATE"))
                yield self._in_thread
                await self._in_thread(partial(self._writer.execute, "COMMIT"))
            except apsw.Error as error:
                raise unavailable(error) from error
            finally:
                # Whoever was cancelled has left a statement under way; this one waits for it.
                await asyncio.shield(self._in_thread(self._roll_back))

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    async def copy_mark(self) -> CopyMark | None:
        async with self._writing:
            mark: CopyMark | None = await self._in_thread(partial(copy_mark, self._writer))
        return mark

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        if self._thread is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def begin_chore(self, chore: str, *, every: int, now: Time) -> bool:
        is_due: bool = await self._batcher.submit(partial(writes.begin_chore, chore=chore, every=every, now=now))
        return is_due

    async def ping(self) -> None:
        self._read("SELECT 1 FROM listeners LIMIT 1", ())

    def statistics(self) -> Statistics:
        tally = self._batcher.tally
        return Statistics(self._batcher.waiting, tally.jobs, tuple(tally.batches), self._commits)

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._batcher.finish()
        if self._thread is not None:
            self._thread.shutdown()
        self._scanner.close()
        # The last connection to close copies the log into the database and removes it.
        self._reader.close()
        self._writer.close()

    async def _run(self, jobs: Sequence[Job]) -> Sequence[Any]:
        async with self._writing:
            if self._thread is None:
                return self._commit(jobs)
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit_and_tidy, jobs)

    def _commit_and_tidy(self, jobs: Sequence[Job]) -> Sequence[Any]:
        outcomes = self._commit(jobs)
        if self._log_pages >= _CHECKPOINT_PAGES and self._thread is not None:
            # Queued behind this batch, so that those who wait for it have their answer first.
            self._thread.submit(self._checkpoint)
        return outcomes

    def _commit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Run the jobs in one transaction. When one of them fails, run each in its own, so that it fails alone."""
        try:
            outcomes = writes.in_transaction(self._writer, jobs)
        except writes.JOB_FAULTS as error:
            if len(jobs) == 1:
                return [unavailable(error) if isinstance(error, apsw.Error) else error]
        except apsw.Error as error:
            return [unavailable(error)] * len(jobs)
        else:
            self._commits += 1
            return outcomes
        return [outcome for job in jobs for outcome in self._commit([job])]

    def _note_log_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        self._log_pages = 0
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            # Another process is copying, and copies for all.
            return
        except apsw.Error as error:
            # Nothing is lost: what is in the log stays there until a later time works.
            logger.warning("the log could not be copied into the database: %s", error)


async def _again(pages: Sequence[Sequence[Record]]) -> AsyncGenerator[Sequence[Record]]:
    for page in pages:
        yield page


def _json(ids: Sequence[str]) -> str:
    # Ids are well formed, so none holds a character that JSON would escape.
    return '["' + '","'.join(ids) + '"]'
