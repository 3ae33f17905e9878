"""The store in PostgreSQL, for services that outgrow one file; with Citus, for those that outgrow one machine.

Writes are one call each of a function in the database (`migrations/postgres`); those that gather while a commit is
under way go down together: one round trip, one commit. Point reads gather in the same way, and so do look-ups of
developer keys and user tokens.

Whatever is asked of PostgreSQL is answered, or `StoreUnavailable`, within `CALL_SECONDS_MAX`, also when it is frozen
and also when the question waits behind others; a few calls ask twice. Only removing a listener may take longer, and
what is about everything at once (`keeping.py`) has no deadline. A batch is given up a little earlier,
`BATCH_SECONDS_MAX` after its start, so that a stuck connection holds up those behind it for no longer, and those whose
part was done are told in time. What is given up here ends in PostgreSQL too, which stops each statement.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import asyncpg

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
from likewise.errors import (
    AlreadyExists,
    ListenerRemoved,
    NoSuchKey,
    NoSuchListener,
    NoSuchThing,
    StoreUnavailable,
)
from likewise.records import Record
from likewise.store import CopyMark, Finding, Statistics, Store
from likewise.stores.batching import Batcher, Lanes
from likewise.stores.migrating import Migration, OnStep
from likewise.stores.postgres import keeping, lists, reads
from likewise.stores.postgres.connecting import Connection
from likewise.stores.postgres.opening import (
    FAULTS,
    POOL_CONNECTIONS_MAX,
    Opened,
    claim,
    copy_mark,
    migrate,
    open_pool,
    unavailable,
)
from likewise.stores.postgres.patience import CALL_SECONDS_MAX, bounded, in_time, within
from likewise.stores.postgres.reads import USER_TOKENS, Read
from likewise.stores.rows import VALUES, dead, learned, library_item_of, name_row, place_of, taken, user_token_of
from likewise.stores.turns import Turns

Result = TypeVar("Result")
Job = TypeVar("Job")
Queue: TypeAlias = Batcher[Job, Result] | Lanes[Job, Result]

BATCH_SECONDS_MAX = 1.5
POOL_WAIT_SECONDS_MAX = 1.0
ROLLBACK_SECONDS_MAX = 0.1
CLOSE_SECONDS_MAX = 5.0
REMOVE_SECONDS_MAX = 60.0
"""Removing a listener deletes all that the listener has ever rated, and is asked for by an operator, who can wait."""

_OWN_FAULTS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
)
"""What one job of a batch may be to blame for, where the others would succeed."""

_NOT_DONE = object()

_WRITE = "SELECT likewise.write($1, $2, $3, $4, $5, $6, $7, $8)"
_FORGET = "SELECT likewise.forget($1, $2, $3, $4)"
_LEARN = "SELECT likewise.learn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_ADD = "SELECT likewise.add($1, $2, $3, $4, $5)"
_LINK = "SELECT likewise.link($1, $2, $3, $4, $5)"
_UNLINK = "SELECT likewise.unlink($1, $2, $3, $4)"

_RATINGS_PAGE = """
SELECT kind, id, value, time
FROM likewise.ratings
WHERE listener = $1 AND (kind, id) > ($2, $3) AND value <> 0
ORDER BY kind, id
LIMIT $4
"""

_LIBRARY_ITEMS = """
SELECT library.kind, library.id, twin, added
FROM unnest($2::smallint[], $3::text[]) AS asked (kind, id)
JOIN likewise.library ON library.listener = $1 AND library.kind = asked.kind AND library.id = asked.id
WHERE NOT is_dead
"""

_LIBRARY_TWIN = """
SELECT kind, id, twin, added FROM likewise.library WHERE listener = $1 AND kind = $2 AND twin = $3 AND NOT is_dead
"""

_LIBRARY = """
SELECT kind, id, twin, added
FROM likewise.library
WHERE listener = $1 AND (kind, id) > ($2, $3) AND NOT is_dead
ORDER BY kind, id
LIMIT $4
"""

# The page and the size of the whole are of one moment. A page past the end is one row that has the size only.
_LIBRARY_PAGE = """
SELECT size.total, page.kind, page.id, page.twin, page.added
FROM (SELECT count(*) AS total FROM likewise.library WHERE listener = $1 AND kind = $2 AND NOT is_dead) AS size
LEFT JOIN (
    SELECT kind, id, twin, added, change
    FROM likewise.library
    WHERE listener = $1 AND kind = $2 AND NOT is_dead
    ORDER BY added DESC, change DESC
    LIMIT $3 OFFSET $4
) AS page ON true
ORDER BY page.added DESC, page.change DESC
"""

_BEGIN_CHORE = """
INSERT INTO likewise.chores AS known
VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET time = excluded.time
WHERE known.time <= $2::bigint - $3::bigint OR known.time > $2::bigint
RETURNING name
"""

_LISTENER_TO_STAY = "SELECT id FROM likewise.listeners WHERE id = $1 FOR KEY SHARE"
_INSERT_USER_TOKEN = "INSERT INTO likewise.user_tokens VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"  # noqa: S105 - SQL
_LISTENERS = "SELECT listener, name, storefront FROM likewise.names"
_KEYS = "SELECT id, team_id, public_key, created, revoked FROM likewise.developer_keys"


class _Write(NamedTuple):
    """A call of one of the functions; its listener comes first."""

    sql: str
    arguments: tuple[Any, ...]


def _listener_of(write: _Write) -> int:
    id: int = write.arguments[0]
    return id


class PostgresStore(Store):
    """A pool of connections to one database, and what waits for them."""

    @classmethod
    async def open(cls, url: str, *, create: bool, alone: bool = False, to_read: bool = False) -> Self:  # noqa: ARG003 - who may only read, a standby too, may open it
        """Open the database and bring its schema up to date; the errors are those of `likewise.stores.open_store`."""
        opened = await open_pool(url, create=create, alone=alone)
        return cls(url, opened, await claim(url) if alone else None)

    @classmethod
    async def migrate(cls, url: str, *, dry_run: bool, on_step: OnStep) -> Migration:
        """Bring the database up to date, as `likewise.stores.migrate` says."""
        return await migrate(url, dry_run=dry_run, on_step=on_step)

    def __init__(self, url: str, opened: Opened, claim: Connection | None) -> None:
        self._url = url
        self._pool = opened.pool
        self._is_distributed = opened.is_distributed
        self._claim = claim
        self._commits = 0
        self._is_closed = False
        # Half of the pool is left to whoever asks for less.
        self._turns = Turns(POOL_CONNECTIONS_MAX // 2, seconds_max=CALL_SECONDS_MAX)
        fetch = partial(self._fetch, seconds_max=BATCH_SECONDS_MAX)
        self._writes: Queue[_Write, Any]
        self._reads: Queue[Read, list[Rating]]
        self._token_reads: Queue[bytes, UserToken | None]
        if opened.is_distributed:
            # Whoever lies on a machine that does not answer holds up nobody who lies on another.
            self._writes = Lanes(self._run_writes, _listener_of)
            self._reads = Lanes(partial(reads.ratings_of_one, fetch), reads.listener_of)
            self._token_reads = Lanes(partial(reads.user_tokens_of_one, fetch), reads.itself)
        else:
            self._writes = Batcher(self._run_writes)
            self._reads = Batcher(partial(reads.ratings_of_many, fetch))
            self._token_reads = Batcher(partial(reads.user_tokens_of_many, fetch))
        self._key_reads: Batcher[str, DeveloperKey | None] = Batcher(self._run_key_reads)

    async def _call(
        self, work: Callable[[Connection], Awaitable[Result]], *, seconds_max: float = CALL_SECONDS_MAX
    ) -> Result:
        """Do something on a connection, within the deadline; raise `StoreUnavailable`."""
        try:
            async with within(seconds_max) as deadline:
                # The pool's own timeout may, on Python 3.11, lose a connection or swallow a cancellation.
                async with asyncio.timeout(POOL_WAIT_SECONDS_MAX):
                    connection = await self._pool.acquire()
                return await self._work_on(connection, work, deadline)
        except FAULTS as error:
            raise unavailable(error) from error

    async def _work_on(
        self, connection: Connection, work: Callable[[Connection], Awaitable[Result]], deadline: float
    ) -> Result:
        loop = asyncio.get_running_loop()
        # Work that is late is cancelled, but then takes its transaction back, and on a wire that hangs that waits too.
        ending = loop.call_at(deadline + ROLLBACK_SECONDS_MAX, connection.terminate)
        is_cut_short = True
        try:
            result = await work(connection)
            is_cut_short = False
        except FAULTS as error:
            if loop.time() >= deadline:
                raise TimeoutError from error
            # What has become a standby stays one; the next connection looks for the primary.
            is_cut_short = isinstance(error, asyncpg.ReadOnlySQLTransactionError) or not isinstance(
                error, asyncpg.PostgresError
            )
            raise
        finally:
            ending.cancel()
            if is_cut_short:
                # Nobody knows what comes back on this connection, and when.
                with suppress(asyncpg.InterfaceError):  # one that was ended above has left the pool
                    connection.terminate()
            await self._pool.release(connection)
        return result

    async def _fetch(self, sql: str, *arguments: Any, seconds_max: float = CALL_SECONDS_MAX) -> list[Any]:
        async def work(connection: Connection) -> list[Any]:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

        return await self._call(work, seconds_max=seconds_max)

    async def _fetch_in_turn(self, sql: str, listener: int, *arguments: Any) -> list[Any]:
        """Fetch what may be long; the time that this waits for its turn counts."""
        try:
            async with within(CALL_SECONDS_MAX), self._turns.of(listener):
                return await self._fetch(sql, listener, *arguments)
        except TimeoutError as error:
            raise unavailable(error) from error

    # Ratings

    async def get(self, listener: Listener, items: Sequence[Item]) -> list[Rating]:
        return await _outcome(self._reads.submit(Read(listener.id, items)))

    async def write(self, listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        done: list[bool] | None = await self._submit(
            _WRITE,
            listener.id,
            [change.item.kind.number for change in changes],
            [change.item.id for change in changes],
            [change.value for change in changes],
            [change.only for change in changes],
            # NULL for none at all, as most writes have.
            [change.time for change in changes] if any(change.time is not None for change in changes) else None,
            [change.unless and change.unless.number for change in changes]
            if any(change.unless for change in changes)
            else None,
            now,
        )
        if done is None:
            raise ListenerRemoved
        return done

    async def _submit(self, sql: str, listener: int, *arguments: Any) -> Any:
        return await _outcome(self._writes.submit(_Write(sql, (listener, *arguments))))

    async def _run_writes(self, writes: Sequence[_Write]) -> Sequence[Any]:
        outcomes: list[Any] = [_NOT_DONE] * len(writes)

        def listener_of(number: int) -> int:
            return _listener_of(writes[number])

        async def in_one_trip(connection: Connection, sql: str, numbers: Sequence[int]) -> None:
            """Run these writes in one transaction; when one is at fault, each listener's, and then each, in its own."""
            try:
                rows = await self._fetch_many(connection, sql, [writes[number].arguments for number in numbers])
            except _OWN_FAULTS as error:
                parts = [list(part) for _, part in groupby(numbers, listener_of)]
                is_locked = isinstance(error, asyncpg.LockNotAvailableError)
                if len(numbers) == 1 or (len(parts) == 1 and is_locked):
                    for number in numbers:
                        outcomes[number] = unavailable(error)
                    return
                for part in parts if len(parts) > 1 else [[number] for number in numbers]:
                    await in_one_trip(connection, sql, part)
            else:
                self._commits += 1
                for number, row in zip(numbers, rows, strict=True):
                    outcomes[number] = row[0]

        async def work(connection: Connection) -> None:
            for sql in dict.fromkeys(write.sql for write in writes):
                numbers = [number for number, write in enumerate(writes) if write.sql == sql]
                # In the order of listeners, so that two workers never wait for one another's locks in a circle.
                await in_one_trip(connection, sql, sorted(numbers, key=listener_of))

        try:
            await self._call(work, seconds_max=BATCH_SECONDS_MAX)
        except StoreUnavailable as error:
            return [error if outcome is _NOT_DONE else outcome for outcome in outcomes]
        return outcomes

    async def _fetch_many(self, connection: Connection, sql: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        is_explicit = self._is_distributed and len(arguments) > 1
        # A pipeline is a transaction by itself, but Citus takes its first statement for one that stands alone.
        async with connection.transaction() if is_explicit else nullcontext():
            rows: list[Any] = await connection.fetchmany(sql, arguments)
        return rows

    async def ratings(self, listener: Listener, *, after: Item | None, limit: int) -> list[Rating]:
        rows = await self._fetch(_RATINGS_PAGE, listener.id, *place_of(after), limit)
        return [Rating(Item(KINDS_BY_NUMBER[kind], id), VALUES[value], time) for kind, id, value, time in rows]

    async def newest_ratings(
        self,
        listener: Listener,
        *,
        after: Place | None,
        limit: int,
        kinds: Collection[Kind] | None = None,
        value: Value | None = None,
    ) -> RatingsPage:
        return await lists.newest_ratings(
            self._fetch_in_turn, listener, after=after, limit=limit, kinds=kinds, value=value
        )

    async def changes(self, listener: Listener, *, after: int, limit: int) -> ChangesPage:
        return await lists.changes(self._fetch_in_turn, listener, after=after, limit=limit)

    async def forget(self, listener: Listener, *, before: Time, limit: int) -> int:
        tombstones = await lists.tombstones(self._fetch, listener, before=before, limit=limit)
        if not tombstones:
            return 0
        gone: int = await self._submit(_FORGET, listener.id, *map(list, zip(*tombstones, strict=True)))
        return gone

    # Names

    async def learn(self, listener: Listener | None, names: Sequence[ItemName]) -> None:
        by_item = {name.item: name for name in learned(names)}
        parts = lists.by_owner(listener, by_item)
        if sum(map(len, parts.values())) < len(by_item):
            raise ListenerRemoved
        for owner, items in parts.items():
            columns = zip(*(name_row(by_item[item]) for item in items), strict=True)
            if await self._submit(_LEARN, owner, *map(list, columns)) is None:
                raise ListenerRemoved

    async def names(self, listener: Listener | None, items: Collection[Item]) -> list[ItemName]:
        return await lists.names_of(self._fetch, listener, items)

    async def named(
        self, listener: Listener | None, clue: Clue, texts: Collection[str], *, limit: int
    ) -> dict[str, list[ItemName]]:
        return await lists.named(self._fetch, listener, clue, texts, limit=limit)

    # The library

    async def add(self, listener: Listener, links: Sequence[tuple[Item, Item]], *, now: Time) -> None:
        kinds = [library_item.kind.number for library_item, _ in links]
        ids = [library_item.id for library_item, _ in links]
        twins = [catalog_item.id for _, catalog_item in links]
        if await self._submit(_ADD, listener.id, kinds, ids, twins, now) is None:
            raise ListenerRemoved

    async def link(self, listener: Listener, library_item: Item, catalog_item: Item, *, now: Time) -> None:
        kind, id = library_item
        outcome = await self._submit(_LINK, listener.id, kind.number, id, catalog_item.id, now)
        if outcome is None:
            raise ListenerRemoved
        if outcome == "dead":
            raise dead(library_item)
        if outcome:
            raise taken(catalog_item, outcome)

    async def unlink(self, listener: Listener, library_item: Item, *, now: Time) -> bool:
        kind, id = library_item
        was_there: bool = await self._submit(_UNLINK, listener.id, kind.number, id, now)
        return was_there

    async def library_items(self, listener: Listener, items: Sequence[Item]) -> list[LibraryItem]:
        kinds = [item.kind.number for item in items]
        rows = await self._fetch(_LIBRARY_ITEMS, listener.id, kinds, [item.id for item in items])
        found = {each.item: each for each in (library_item_of(*row) for row in rows)}
        return [found[item] for item in items if item in found]

    async def library_twin(self, listener: Listener, catalog_item: Item) -> LibraryItem | None:
        kind = TWINS.get(catalog_item.kind)
        if kind is None:
            return None
        rows = await self._fetch(_LIBRARY_TWIN, listener.id, kind.number, catalog_item.id)
        return library_item_of(*rows[0]) if rows else None

    async def library_page(self, listener: Listener, kind: Kind, *, limit: int, offset: int) -> LibraryPage:
        rows = await self._fetch_in_turn(_LIBRARY_PAGE, listener.id, kind.number, limit, offset)
        return LibraryPage([library_item_of(*row) for _, *row in rows if row[0] is not None], rows[0][0])

    async def library(self, listener: Listener, *, after: Item | None, limit: int) -> list[LibraryItem]:
        return [library_item_of(*row) for row in await self._fetch(_LIBRARY, listener.id, *place_of(after), limit)]

    # Listeners

    async def add_listener(self, name: str, storefront: str) -> Listener:
        async def work(connection: Connection) -> int | None:
            async with connection.transaction():
                id: int = await connection.fetchval("SELECT nextval('likewise.listener_ids')")
                named = await connection.fetchval(
                    "INSERT INTO likewise.names VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name",
                    name,
                    id,
                    storefront,
                )
                if named is None:
                    return None
                await connection.execute("INSERT INTO likewise.listeners (id) VALUES ($1)", id)
                return id

        id = await self._call(work)
        if id is None:
            raise AlreadyExists(f"there is a listener {name!r} already", "see `likewise listener list`")
        return Listener(id, name, storefront)

    async def listener(self, name: str) -> Listener:
        rows = await self._fetch(f"{_LISTENERS} WHERE name = $1", name)
        if not rows:
            raise NoSuchListener(name)
        return Listener(*rows[0])

    async def listeners(self, *, after: str = "", limit: int | None = None) -> list[Listener]:
        rows = await self._fetch(f"{_LISTENERS} WHERE name > $1 ORDER BY name LIMIT $2", after, limit)
        return [Listener(*row) for row in rows]

    async def remove_listener(self, name: str) -> None:
        async def work(connection: Connection) -> int | None:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = '{REMOVE_SECONDS_MAX:.0f}s'")
                id: int | None = await connection.fetchval(
                    "DELETE FROM likewise.names WHERE name = $1 RETURNING listener", name
                )
                if id is not None:
                    await connection.execute("DELETE FROM likewise.listeners WHERE id = $1", id)
                    for table in ("ratings", "library", "item_names", "user_tokens"):
                        await connection.execute(f"DELETE FROM likewise.{table} WHERE listener = $1", id)  # noqa: S608 - our own names
                return id

        if await self._call(work, seconds_max=REMOVE_SECONDS_MAX) is None:
            raise NoSuchListener(name)

    # Developer keys

    async def add_developer_key(self, key: DeveloperKey) -> None:
        added = await self._fetch(
            "INSERT INTO likewise.developer_keys VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id", *key
        )
        if not added:
            raise AlreadyExists(f"there is a developer key {key.id} already", "see `likewise key list`")

    async def developer_key(self, key_id: str) -> DeveloperKey | None:
        return await _outcome(self._key_reads.submit(key_id))

    async def _run_key_reads(self, ids: Sequence[str]) -> list[DeveloperKey | None]:
        rows = await self._fetch(f"{_KEYS} WHERE id = ANY($1)", ids, seconds_max=BATCH_SECONDS_MAX)
        found = {row["id"]: DeveloperKey(*row) for row in rows}
        return [found.get(id) for id in ids]

    async def developer_keys(self) -> list[DeveloperKey]:
        return [DeveloperKey(*row) for row in await self._fetch(f"{_KEYS} ORDER BY created, id")]

    async def revoke_developer_key(self, key_id: str, *, now: Time) -> None:
        if not await self._revoke("developer_keys", key_id, now):
            raise NoSuchKey(key_id)

    async def _revoke(self, table: str, id: str, now: Time) -> bool:
        sql = f"UPDATE likewise.{table} SET revoked = coalesce(revoked, $2) WHERE id = $1 RETURNING id"  # noqa: S608 - our own names
        return bool(await self._fetch(sql, id, now))

    # Music user tokens

    async def add_user_token(self, digest: bytes, token: UserToken) -> None:
        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                # Locked, so that whoever removes the listener meanwhile finds the token and removes it too.
                is_there = await connection.fetchval(_LISTENER_TO_STAY, token.listener.id)
                if is_there:
                    await connection.execute(_INSERT_USER_TOKEN, digest, token.id, *token.listener, *token[2:])
                return bool(is_there)

        if not await self._call(work):
            raise ListenerRemoved

    async def user_token(self, digest: bytes) -> UserToken | None:
        return await _outcome(self._token_reads.submit(digest))

    async def user_tokens(self, listener: Listener) -> list[UserToken]:
        rows = await self._fetch(f"{USER_TOKENS} WHERE listener = $1 ORDER BY created, id", listener.id)
        return [user_token_of(*row) for _digest, *row in rows]

    async def revoke_user_token(self, token_id: str, *, now: Time) -> None:
        if not await self._revoke("user_tokens", token_id, now):
            raise NoSuchThing(f"there is no music user token {token_id}", "see `likewise token list NAME`")

    # Everything at once

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[keeping.PostgresSnapshot]:
        async with keeping.moment(self._url) as connection:
            yield keeping.PostgresSnapshot(connection)

    async def check(self) -> AsyncGenerator[Finding]:
        async with keeping.moment(self._url) as connection:
            async for finding in keeping.findings(connection):
                yield finding

    async def load(self, pages: AsyncIterator[Sequence[Record]], *, replace: bool = False) -> None:
        async with keeping.transaction(self._url, self._claim) as connection:
            await keeping.load(connection, pages, replace=replace)

    async def amend(self, *, remove: Collection[int], records: Sequence[Record], mark: CopyMark) -> None:
        async with keeping.transaction(self._url, self._claim) as connection:
            await keeping.amend(connection, remove=remove, records=records, mark=mark)

    async def copy_mark(self) -> CopyMark | None:
        return await self._call(copy_mark)

    async def begin_chore(self, chore: str, *, every: int, now: Time) -> bool:
        return bool(await self._fetch(_BEGIN_CHORE, chore, now, every))

    def bounded(self, seconds_max: float) -> AbstractContextManager[None]:
        return bounded(seconds_max)

    async def ping(self) -> None:
        await self._fetch("SELECT FROM likewise.schema")

    def statistics(self) -> Statistics:
        writes, pool = self._writes, self._pool
        open_now, idle = pool.get_size(), pool.get_idle_size()
        return Statistics(
            waiting=writes.waiting,
            writes=writes.tally.jobs,
            batches=tuple(writes.tally.batches),
            commits=self._commits,
            connections_in_use=open_now - idle,
            connections_idle=idle,
            connections_max=pool.get_max_size(),
        )

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._claim is not None:
            self._claim.terminate()
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                for batcher in (self._writes, self._reads, self._key_reads, self._token_reads):
                    await batcher.finish()
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def _outcome(future: "asyncio.Future[Result]") -> Result:
    """Wait for a job within the deadline. One whose batch has not begun by then is taken out."""
    try:
        return await in_time(future)
    except TimeoutError as error:
        raise unavailable(error) from error
