"""The store in PostgreSQL, for services that outgrow one file; with Citus, for those that outgrow one machine.

Writes are one call each of a function in the database (`migrations/postgres`); those that gather while a commit is
under way go down together: one round trip, one commit. Point reads gather in the same way. Every call has a deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import asyncpg

from likewise.domain import (
    KINDS_BY_NUMBER,
    TWINS,
    Change,
    DeveloperKey,
    Item,
    Kind,
    LibraryItem,
    LibraryPage,
    Listener,
    Rating,
    Time,
    UserToken,
    Value,
)
from likewise.errors import AlreadyExists, LinkRefused, ListenerRemoved, NoSuchThing, StoreUnavailable
from likewise.store import Store
from likewise.stores.batching import Batcher
from likewise.stores.postgres.opening import Connection, Pool, open_pool, unavailable

Result = TypeVar("Result")

CALL_SECONDS_MAX = 2.0
POOL_WAIT_SECONDS_MAX = 1.0

_VALUES = {int(value): value for value in Value}

_WRITE = "SELECT likewise.write($1, $2, $3, $4, $5, $6)"
_ADD = "SELECT likewise.add($1, $2, $3, $4, $5)"
_LINK = "SELECT likewise.link($1, $2, $3, $4, $5)"
_UNLINK = "SELECT likewise.unlink($1, $2, $3, $4)"

# Many listeners' reads in one. The order of what was asked is its number.
_RATINGS = """
SELECT asked.number, ratings.value, ratings.time
FROM unnest($1::bigint[], $2::smallint[], $3::text[]) WITH ORDINALITY AS asked (listener, kind, id, number)
LEFT JOIN likewise.library
    ON asked.kind >= 6 AND library.listener = asked.listener AND library.kind = asked.kind AND library.id = asked.id
JOIN likewise.ratings
    ON ratings.listener = asked.listener
    AND ratings.kind = CASE WHEN library.twin IS NULL THEN asked.kind ELSE asked.kind - 5 END
    AND ratings.id = coalesce(library.twin, asked.id)
WHERE ratings.value <> 0 AND library.is_dead IS NOT TRUE
"""

_LIBRARY_COLUMNS = "SELECT kind, id, twin, added FROM likewise.library WHERE listener = $1 AND NOT is_dead"
_LIBRARY_ITEMS = f"{_LIBRARY_COLUMNS} AND kind = $2 AND id = ANY($3)"
_LIBRARY_TWIN = f"{_LIBRARY_COLUMNS} AND kind = $2 AND twin = $3"
_LIBRARY_PAGE = f"{_LIBRARY_COLUMNS} AND kind = $2 ORDER BY added DESC, change DESC LIMIT $3 OFFSET $4"
_LIBRARY_SIZE = "SELECT count(*) FROM likewise.library WHERE listener = $1 AND kind = $2 AND NOT is_dead"

_LISTENERS = "SELECT listener, name, storefront FROM likewise.names"
_KEYS = "SELECT id, team_id, public_key, created, revoked FROM likewise.developer_keys"
_USER_TOKENS = """
SELECT id, listener, name, storefront, team_id, created, expires, revoked FROM likewise.user_tokens
"""


class _Write(NamedTuple):
    """A call of one of the functions; its listener comes first."""

    sql: str
    arguments: tuple[Any, ...]


class _Read(NamedTuple):
    listener: int
    items: Sequence[Item]


Reads: TypeAlias = Sequence[_Read]


class PostgresStore(Store):
    """A pool of connections to one database, and what waits for them."""

    @classmethod
    async def open(cls, url: str, *, create: bool) -> Self:
        """Open the database and bring its schema up to date; the errors are those of `likewise.stores.open_store`."""
        return cls(await open_pool(url, create=create))

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._writes: Batcher[_Write, Any] = Batcher(self._run_writes)
        self._reads: Batcher[_Read, list[Rating]] = Batcher(self._run_reads)
        self._is_closed = False

    async def _call(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Do something on a connection, within the deadline."""
        try:
            connection = await self._pool.acquire(timeout=POOL_WAIT_SECONDS_MAX)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        is_cut_short = True
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                result = await work(connection)
            is_cut_short = False
        except asyncpg.PostgresError as error:
            is_cut_short = False
            raise unavailable(error) from error
        except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        finally:
            if is_cut_short:
                # Nobody knows what comes back on this connection, and when.
                connection.terminate()
            await self._pool.release(connection, timeout=POOL_WAIT_SECONDS_MAX)
        return result

    async def _fetch(self, sql: str, *arguments: Any) -> list[Any]:
        async def work(connection: Connection) -> list[Any]:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

        return await self._call(work)

    # Ratings

    async def get(self, listener: Listener, items: Sequence[Item]) -> list[Rating]:
        return await self._reads.submit(_Read(listener.id, items))

    async def _run_reads(self, reads: Reads) -> list[list[Rating]]:
        asked = [(read.listener, item) for read in reads for item in read.items]
        rows = await self._fetch(
            _RATINGS,
            [listener for listener, _ in asked],
            [item.kind.number for _, item in asked],
            [item.id for _, item in asked],
        )
        found = {number - 1: Rating(asked[number - 1][1], _VALUES[value], time) for number, value, time in rows}
        answers = []
        first = 0
        for read in reads:
            past = first + len(read.items)
            answers.append([found[number] for number in range(first, past) if number in found])
            first = past
        return answers

    async def write(self, listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        done: list[bool] | None = await self._submit(
            _WRITE,
            listener.id,
            [change.item.kind.number for change in changes],
            [change.item.id for change in changes],
            [change.value for change in changes],
            [change.only for change in changes],
            now,
        )
        if done is None:
            raise ListenerRemoved
        return done

    async def _submit(self, sql: str, listener: int, *arguments: Any) -> Any:
        return await self._writes.submit(_Write(sql, (listener, *arguments)))

    async def _run_writes(self, writes: Sequence[_Write]) -> Sequence[Any]:
        outcomes: list[Any] = [None] * len(writes)
        for sql in dict.fromkeys(write.sql for write in writes):
            # In the order of listeners, so that two workers never wait for one another's locks in a circle.
            numbers = sorted(
                (number for number, write in enumerate(writes) if write.sql == sql),
                key=lambda number: writes[number].arguments[0],
            )
            results = await self._run_in_one_trip(sql, [writes[number].arguments for number in numbers])
            for number, result in zip(numbers, results, strict=True):
                outcomes[number] = result
        return outcomes

    async def _run_in_one_trip(self, sql: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        async def work(connection: Connection) -> list[Any]:
            return [row[0] for row in await connection.fetchmany(sql, arguments)]

        try:
            return await self._call(work)
        except StoreUnavailable as error:
            if len(arguments) == 1 or not isinstance(
                error.__cause__, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError
            ):
                return [error] * len(arguments)
        # One row's fault undid them all, so that each runs by itself and fails by itself.
        return [(await self._run_in_one_trip(sql, [each]))[0] for each in arguments]

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
            raise LinkRefused(f"the library id {id} was removed and stays dead", "add the catalog item again instead")
        if outcome:
            raise LinkRefused(
                f"{catalog_item.kind.type} {catalog_item.id} has the library id {outcome} already",
                "unlink that one first",
            )

    async def unlink(self, listener: Listener, library_item: Item, *, now: Time) -> bool:
        kind, id = library_item
        was_there: bool = await self._submit(_UNLINK, listener.id, kind.number, id, now)
        return was_there

    async def library_items(self, listener: Listener, items: Sequence[Item]) -> list[LibraryItem]:
        found: dict[Item, LibraryItem] = {}
        for kind in {item.kind for item in items}:
            ids = [item.id for item in items if item.kind is kind]
            for row in await self._fetch(_LIBRARY_ITEMS, listener.id, kind.number, ids):
                library_item = _library_item(*row)
                found[library_item.item] = library_item
        return [found[item] for item in items if item in found]

    async def library_twin(self, listener: Listener, catalog_item: Item) -> LibraryItem | None:
        kind = TWINS.get(catalog_item.kind)
        if kind is None:
            return None
        rows = await self._fetch(_LIBRARY_TWIN, listener.id, kind.number, catalog_item.id)
        return _library_item(*rows[0]) if rows else None

    async def library_page(self, listener: Listener, kind: Kind, *, limit: int, offset: int) -> LibraryPage:
        rows = await self._fetch(_LIBRARY_PAGE, listener.id, kind.number, limit, offset)
        [[total]] = await self._fetch(_LIBRARY_SIZE, listener.id, kind.number)
        return LibraryPage([_library_item(*row) for row in rows], total)

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
            raise _no_listener(name)
        return Listener(*rows[0])

    async def listeners(self) -> list[Listener]:
        return [Listener(*row) for row in await self._fetch(f"{_LISTENERS} ORDER BY name")]

    async def remove_listener(self, name: str) -> None:
        async def work(connection: Connection) -> int | None:
            async with connection.transaction():
                id: int | None = await connection.fetchval(
                    "DELETE FROM likewise.names WHERE name = $1 RETURNING listener", name
                )
                if id is not None:
                    await connection.execute("DELETE FROM likewise.listeners WHERE id = $1", id)
                    for table in ("ratings", "library", "user_tokens"):
                        await connection.execute(f"DELETE FROM likewise.{table} WHERE listener = $1", id)  # noqa: S608 - our own names
                return id

        if await self._call(work) is None:
            raise _no_listener(name)

    # Developer keys

    async def add_developer_key(self, key: DeveloperKey) -> None:
        added = await self._fetch(
            "INSERT INTO likewise.developer_keys VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id", *key
        )
        if not added:
            raise AlreadyExists(f"there is a developer key {key.id} already", "see `likewise key list`")

    async def developer_key(self, key_id: str) -> DeveloperKey | None:
        rows = await self._fetch(f"{_KEYS} WHERE id = $1", key_id)
        return DeveloperKey(*rows[0]) if rows else None

    async def developer_keys(self) -> list[DeveloperKey]:
        return [DeveloperKey(*row) for row in await self._fetch(f"{_KEYS} ORDER BY created, id")]

    async def revoke_developer_key(self, key_id: str, *, now: Time) -> None:
        if not await self._revoke("developer_keys", key_id, now):
            raise NoSuchThing(f"there is no developer key {key_id}", "see `likewise key list`")

    async def _revoke(self, table: str, id: str, now: Time) -> bool:
        sql = f"UPDATE likewise.{table} SET revoked = coalesce(revoked, $2) WHERE id = $1 RETURNING id"  # noqa: S608 - our own names
        return bool(await self._fetch(sql, id, now))

    # Music user tokens

    async def add_user_token(self, digest: bytes, token: UserToken) -> None:
        id, name, storefront = token.listener
        added = await self._fetch(
            """
            INSERT INTO likewise.user_tokens
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
            WHERE EXISTS (SELECT FROM likewise.listeners WHERE id = $3)
            RETURNING id
            """,
            digest,
            token.id,
            id,
            name,
            storefront,
            token.team_id,
            token.created,
            token.expires,
            token.revoked,
        )
        if not added:
            raise ListenerRemoved

    async def user_token(self, digest: bytes) -> UserToken | None:
        rows = await self._fetch(f"{_USER_TOKENS} WHERE digest = $1", digest)
        return _user_token(*rows[0]) if rows else None

    async def user_tokens(self, listener: Listener) -> list[UserToken]:
        rows = await self._fetch(f"{_USER_TOKENS} WHERE listener = $1 ORDER BY created, id", listener.id)
        return [_user_token(*row) for row in rows]

    async def revoke_user_token(self, token_id: str, *, now: Time) -> None:
        if not await self._revoke("user_tokens", token_id, now):
            raise NoSuchThing(f"there is no music user token {token_id}", "see `likewise token list NAME`")

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._writes.finish()
        await self._reads.finish()
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


def _no_listener(name: str) -> NoSuchThing:
    return NoSuchThing(f"there is no listener {name!r}", "see `likewise listener list`")


def _library_item(kind_number: int, id: str, twin_id: str | None, added: Time) -> LibraryItem:
    kind = KINDS_BY_NUMBER[kind_number]
    twin = None if twin_id is None else Item(TWINS[kind], twin_id)
    return LibraryItem(Item(kind, id), twin, added)


def _user_token(
    id: str,
    listener: int,
    name: str,
    storefront: str,
    team_id: str,
    created: Time,
    expires: Time,
    revoked: Time | None,
) -> UserToken:
    return UserToken(id, Listener(listener, name, storefront), team_id, created, expires, revoked)
