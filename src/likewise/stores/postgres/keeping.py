"""Everything at once in PostgreSQL: a moment of it, taking over another store, and what contradicts itself.

All of this runs on connections of its own, without the deadlines that calls of a server have.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

import asyncpg
from msgspec.structs import astuple

from likewise.errors import NotEmpty
from likewise.records import NOBODY, Counter, ListenerRecord, Record, TokenRecord
from likewise.store import CopyMark, Finding, Snapshot
from likewise.stores.postgres.connecting import Connection
from likewise.stores.postgres.opening import (
    FAULTS,
    connect_without_deadlines,
    copy_mark,
    in_use,
    unavailable,
)
from likewise.stores.tables import (
    LISTENERS_AT_ONCE,
    PAGE_RECORDS,
    TABLES,
    Check,
    Table,
    checks,
    contradiction,
    finding_text,
    row_of,
)

_OTHERS_LOCK_SECONDS = 5

_ALL_TABLES = ("listeners", "names", "user_tokens", "item_names", "library", "ratings", "developer_keys")
_LOCKED = ", ".join(f"likewise.{table}" for table in _ALL_TABLES)

_LAST_LISTENER = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM likewise.listener_ids"

# Never less than it was, for what a removed listener has left in a cache is nobody else's.
_COUNT_LISTENER = f"SELECT setval('likewise.listener_ids', greatest($1, ({_LAST_LISTENER})))"

# Names and user tokens lie elsewhere than their listeners when Citus spreads them. It joins the two when one is fetched
# as a whole first, which the empty OFFSET asks for.
_NAMES = "(SELECT name, listener, storefront FROM likewise.names OFFSET 0) AS names"
_TOKENS_OF = "(SELECT listener FROM likewise.user_tokens OFFSET 0)"

# A listener has two rows: one among the names, and one with the listener's shard.
_LISTENERS = f"""
(
    SELECT id, name, storefront, changes, forgotten, era
    FROM likewise.listeners
    JOIN {_NAMES} ON names.listener = listeners.id
) AS listeners
"""  # noqa: S608 - our own words

# Of $1, the last id that was given: where Citus spreads the listeners, no statement about them can ask a sequence too.
_GIVEN_AGAIN = Check(
    "listeners with an id that would be given again", "SELECT count(*), min(id) FROM likewise.listeners WHERE id > $1"
)

_CHECKS = (
    Check(
        "listeners without a name",
        f"SELECT count(*), min(id) FROM likewise.listeners LEFT JOIN {_NAMES} ON listener = id WHERE listener IS NULL",  # noqa: S608 - our own words
    ),
    Check(
        "names whose listener is gone",
        f"SELECT count(*), min(listener) FROM {_NAMES} LEFT JOIN likewise.listeners ON id = listener WHERE id IS NULL",  # noqa: S608 - our own words
    ),
    Check(
        "user tokens that call their listener otherwise",
        "SELECT count(*), min(names.listener) FROM likewise.user_tokens AS each"  # noqa: S608 - our own words
        f" JOIN {_NAMES} ON names.listener = each.listener"
        " WHERE names.name <> each.name OR names.storefront <> each.storefront",
    ),
    Check(
        "user tokens with the same short id",
        "SELECT count(*), min(listener) FROM"
        " (SELECT min(listener) AS listener FROM likewise.user_tokens GROUP BY id HAVING count(*) > 1) AS twice",
    ),
    _GIVEN_AGAIN,
    *(
        check._replace(sql=check.sql.replace("likewise.user_tokens AS each", f"{_TOKENS_OF} AS each"))
        for check in checks(schema="likewise.")
    ),
)


# Reading


class PostgresSnapshot(Snapshot):
    """A moment of a database, on a connection inside a transaction that sees one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def counts(self) -> Mapping[type[Record], int]:
        try:
            return {Counter: 1} | {
                record: await self._connection.fetchval(f"SELECT count(*) FROM {_from(table)}")  # noqa: S608 - our own names
                for record, table in TABLES.items()
            }
        except FAULTS as error:
            raise unavailable(error) from error

    async def records(self, listeners: Collection[int] | None = None) -> AsyncGenerator[Sequence[Record]]:
        try:
            yield [Counter(await self._connection.fetchval(_LAST_LISTENER))]
            for table in TABLES.values():
                record = table.record
                for sql, arguments in _selects(table, listeners):
                    rows = await self._connection.cursor(sql, *arguments)
                    while page := await rows.fetch(PAGE_RECORDS):
                        yield [record(*row) for row in page]
        except FAULTS as error:
            raise unavailable(error) from error


def _from(table: Table) -> str:
    return _LISTENERS if table.record is ListenerRecord else f"likewise.{table.name}"


def _selects(table: Table, listeners: Collection[int] | None) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Return the statements that read a table, or what it has of these listeners."""
    select = f"SELECT {', '.join(table.columns)} FROM {_from(table)}"  # noqa: S608 - our own names
    if listeners is None or table.listener is None:
        if listeners is None or NOBODY in listeners:
            yield f"{select} ORDER BY {table.order}", ()
        return
    ids = sorted(listeners)
    for start in range(0, len(ids), LISTENERS_AT_ONCE):
        some = ids[start : start + LISTENERS_AT_ONCE]
        yield f"{select} WHERE {table.listener} = ANY($1) ORDER BY {table.order}", (some,)


@asynccontextmanager
async def moment(url: str) -> AsyncGenerator[Connection]:
    """Connect and see one moment of the database until the block ends."""
    connection = await connect_without_deadlines(url)
    try:
        try:
            # Not read-only: between its machines, Citus writes down what it has to join.
            await connection.transaction(isolation="repeatable_read").start()
            # Locked first, which takes no moment yet: whoever waits here for the end of a load must see what it has
            # brought, for of the moment before it nothing is left. Tables that are emptied keep no older rows.
            await connection.execute(f"LOCK TABLE {_LOCKED} IN ACCESS SHARE MODE")
            # The moment is that of the first statement that reads; with Citus, on each machine that it comes to.
            for table in _ALL_TABLES:
                await connection.execute(f"SELECT 1 FROM likewise.{table} LIMIT 1")  # noqa: S608 - our own names
        except FAULTS as error:
            raise unavailable(error) from error
        # What the block raises is its own: a pipe that nobody reads any more is no fault of PostgreSQL.
        yield connection
    finally:
        connection.terminate()  # there is nothing to finish, and whoever was cancelled is not kept waiting


async def findings(connection: Connection) -> AsyncGenerator[Finding]:
    """Look for what contradicts itself."""
    for check in _CHECKS:
        async for finding in _findings(connection, check):
            yield finding


async def _findings(connection: Connection, check: Check) -> AsyncGenerator[Finding]:
    try:
        arguments = [await connection.fetchval(_LAST_LISTENER)] if check is _GIVEN_AGAIN else []
        rows, listener = await connection.fetchrow(check.sql, *arguments)
    except FAULTS as error:
        raise unavailable(error) from error
    if rows:
        yield Finding(finding_text(check.text, listener), rows)


# Writing


@asynccontextmanager
async def transaction(url: str, claim: Connection | None) -> AsyncGenerator[Connection]:
    """Connect, or take the connection that has claimed the database, and commit when the block ends well."""
    connection = claim or await connect_without_deadlines(url)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_OTHERS_LOCK_SECONDS}s'")
            yield connection
    except asyncpg.LockNotAvailableError as error:
        raise in_use() from error
    except FAULTS as error:
        raise unavailable(error) from error
    finally:
        if connection is not claim:
            connection.terminate()


async def load(connection: Connection, pages: AsyncIterator[Sequence[Record]], *, replace: bool) -> None:
    await connection.execute(f"LOCK TABLE {_LOCKED} IN ACCESS EXCLUSIVE MODE")
    # Each by itself, for Citus knows no subquery that asks all shards and stands outside FROM and WHERE.
    tables = ("names", "developer_keys", "item_names")  # all else belongs to a listener
    found = [await connection.fetch(f"SELECT 1 FROM likewise.{table} LIMIT 1") for table in tables]  # noqa: S608 - our own names
    if any(found) and not replace:
        raise NotEmpty("the database is not empty", "give --replace to put this in its place, or another database")
    await connection.execute(f"TRUNCATE {_LOCKED}")
    await connection.execute("DROP TABLE IF EXISTS likewise.copy_mark")
    async for page in pages:
        await _insert(connection, page)
    for check in _CHECKS:
        if not check.is_slow:
            async for text, rows in _findings(connection, check):
                raise contradiction(f"{rows} {text}")


async def amend(connection: Connection, *, remove: Collection[int], records: Sequence[Record], mark: CopyMark) -> None:
    if remove:
        for table in _ALL_TABLES[:-1]:
            column = "id" if table == "listeners" else "listener"
            await connection.execute(f"DELETE FROM likewise.{table} WHERE {column} = ANY($1)", list(remove))  # noqa: S608 - our own names
    if NOBODY in remove:
        await connection.execute("DELETE FROM likewise.developer_keys")
    await _insert(connection, records)
    if await copy_mark(connection) != mark:
        await connection.execute("DROP TABLE IF EXISTS likewise.copy_mark")
        await connection.execute("CREATE TABLE likewise.copy_mark (is_whole boolean NOT NULL, sha256 bytea NOT NULL)")
        await connection.execute("INSERT INTO likewise.copy_mark VALUES ($1, $2)", *mark)


async def _insert(connection: Connection, records: Iterable[Record]) -> None:
    for kind, same in groupby(records, type):
        try:
            await _insert_all(connection, kind, list(same))
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
            # Below its first line PostgreSQL quotes the row, and the hash of a token is nothing to show.
            raise contradiction(str(error).partition("\n")[0]) from error


async def _insert_all(connection: Connection, kind: type[Record], records: Sequence[Any]) -> None:
    """Add records of one type."""
    if kind is Counter:
        for counter in records:
            if counter.listener:
                await connection.execute(_COUNT_LISTENER, counter.listener)
    elif kind is ListenerRecord:
        listeners = [(each.id, each.changes, each.forgotten, each.era) for each in records]
        await _copy(connection, "listeners", ("id", "changes", "forgotten", "era"), listeners)
        names = [(each.name, each.id, each.storefront) for each in records]
        await _copy(connection, "names", ("name", "listener", "storefront"), names)
    elif kind is TokenRecord:
        # A token carries its listener's name and storefront.
        rows = await connection.fetch(
            "SELECT listener, name, storefront FROM likewise.names WHERE listener = ANY($1)",
            list({each.listener for each in records}),
        )
        known = {listener: (name, storefront) for listener, name, storefront in rows}
        columns = (*kind.__struct_fields__, "name", "storefront")
        nobody = ("", "")  # is found at the end
        tokens = [(*astuple(each), *known.get(each.listener, nobody)) for each in records]
        await _copy(connection, "user_tokens", columns, tokens)
    else:
        table = TABLES[kind]
        await _copy(connection, table.name, (*table.columns, *table.derived), map(row_of, records))


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    await connection.copy_records_to_table(table, schema_name="likewise", columns=columns, records=rows)
