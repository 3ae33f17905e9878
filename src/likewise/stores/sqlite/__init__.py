"""The store in one SQLite file: write-ahead log, a commit on disk before every acknowledgement.

Reads run where they are asked for, on the event loop (`reading.py`): a point read takes a few microseconds, a trip
through a thread many times that. What reads all that a listener has rated or added has a reading thread (`scans.py`).
Writes wait for one writer thread, which commits all that have gathered in one transaction, and which also copies the
log back into the database, so that the loop never waits for the disk.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeAlias

import apsw

from likewise.domain import Change, DeveloperKey, Item, ItemName, Listener, Time, UserToken
from likewise.records import Record
from likewise.store import CopyMark, Finding, Statistics
from likewise.stores.batching import Batcher
from likewise.stores.migrating import Migration, OnStep
from likewise.stores.sqlite import keeping, scans, writes
from likewise.stores.sqlite.keeping import Run, SQLiteSnapshot, findings
from likewise.stores.sqlite.names import learn
from likewise.stores.sqlite.opening import MEMORY, connect, copy_mark, migrate, prepare, unavailable
from likewise.stores.sqlite.reading import SQLiteReading

Job: TypeAlias = Callable[[apsw.Connection], Any]

_CHECKPOINT_PAGES = 1_000

# Holds a quarter of a million ratings, where SQLite's own 2 MB hold sixty thousand.
_CACHE_KIBIBYTES = 8_192

logger = logging.getLogger("likewise")


class SQLiteStore(SQLiteReading):
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
        super().__init__(reader, scanner, alone=writer is reader)
        self._path = path
        self._writer = writer
        self._log_pages = 0
        self._commits = 0
        self._is_closed = False
        self._writing = asyncio.Lock()
        self._batcher: Batcher[Job, Any] = Batcher(self._run)
        self._thread: ThreadPoolExecutor | None = None
        if path != MEMORY:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="likewise-writer")
            writer.set_wal_hook(self._note_log_pages)

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
