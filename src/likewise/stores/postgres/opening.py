"""Opening a PostgreSQL database: is it current, is it distributed, and which errors mean what."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from likewise.errors import BadSetting, StoreError, StoreUnavailable, StoreUnusable
from likewise.store import CopyMark
from likewise.stores.migrating import Migration, OnStep
from likewise.stores.postgres import citus
from likewise.stores.postgres.connecting import Connection, connect
from likewise.stores.postgres.patience import CALL_SECONDS_MAX
from likewise.stores.rows import migrations_of

Pool: TypeAlias = Any  # see Connection

POOL_CONNECTIONS_MAX = 10
CONNECT_SECONDS_MAX = 5.0
LOCK_SECONDS_MAX = 0.5
"""How long a write waits for another's lock on its listener, before the others of its batch go on without it."""
_MIGRATE_SECONDS_MAX = 600.0
_LOCK = 0x4C696B65
"""«Like» in ASCII: the advisory lock that lets one program migrate while the others wait."""

_ALONE_LOCK = 0x4C696B66
"""Another, for whoever wants to be alone on the database."""

_OTHERS = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'likewise' AND pid <> pg_backend_pid()
)
"""
_LEAVING_SECONDS_MAX = 2.0
"""PostgreSQL takes a moment to notice that a connection was closed."""

FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises; `TimeoutError` is an `OSError`."""

_SESSION = {
    "application_name": "likewise",
    # Whoever gives up, or dies, leaves nothing running.
    "statement_timeout": f"{CALL_SECONDS_MAX * 1_000:.0f}",
    "lock_timeout": f"{LOCK_SECONDS_MAX * 1_000:.0f}",
    "idle_in_transaction_session_timeout": f"{CALL_SECONDS_MAX * 1_000:.0f}",
    # What the port promises, whatever the server's defaults are: a commit is on disk, …
    "synchronous_commit": "on",
    # … and whoever waited for a listener's row sees what the other has written.
    "default_transaction_isolation": "read committed",
}


def migrations() -> list[str]:
    return migrations_of("postgres")


class Opened(NamedTuple):
    """`is_distributed` says whether Citus spreads the listeners over many machines."""

    pool: Pool
    is_distributed: bool


async def open_pool(url: str, *, create: bool, alone: bool = False) -> Opened:
    """Bring the schema up to date and open the pool. What is new goes where the rest is: over the cluster, if there.

    `alone` allows an unfinished copy.
    """
    async with _told(), asyncio.timeout(_MIGRATE_SECONDS_MAX):
        async with _connected(url) as connection:
            await _migrate(connection, create=create)
            is_distributed = await citus.is_available(connection) and await citus.is_distributed(connection)
            if is_distributed:
                await _distribute(connection, on_step=_say_nothing)
            if not alone:
                if not await _soon(lambda: _is_unclaimed(connection)):
                    raise _claimed()
                await _check_whole(connection)
        pool = await asyncpg.create_pool(  # type: ignore[call-overload]  # the stubs name more parameters than are given
            url,
            connect=connect,
            min_size=0,  # else a task of the pool's own keeps knocking, and holds a place, while the server is down
            max_size=POOL_CONNECTIONS_MAX,
            max_queries=sys.maxsize,  # see _keep_session
            reset=_keep_session,
            # A server that has no connection left is not seen by who wants to be alone.
            init=None if alone else _check_unclaimed,
            timeout=CONNECT_SECONDS_MAX,
            server_settings=_SESSION,
        )
        return Opened(pool, is_distributed)


async def migrate(url: str, *, dry_run: bool, on_step: OnStep) -> Migration:
    """Bring the schema up to date; where the database has Citus, spread it over the cluster.

    This may take as long as it takes to copy all there is.
    """
    async with _told(), _connected(url) as connection:
        before = await _version(connection)
        _check_version(before)
        await _check_whole(connection)
        has_citus = await citus.is_available(connection)
        if dry_run:
            left = await citus.steps(connection) if has_citus else []
        else:
            await _migrate(connection, create=True)
            left = await _distribute(connection, on_step=on_step) if has_citus else []
        return Migration(before, len(migrations()), [step.subject for step in left if step.subject])


def _say_nothing(_sentence: str) -> None:
    pass


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Tell what asyncpg raises as errors of ours."""
    try:
        yield
    except OSError as error:  # first, since a bad certificate is a ValueError too
        raise unavailable(error) from error
    except ValueError as error:
        raise BadSetting("the database URL is no PostgreSQL URL", "use postgresql://user@host/database") from error
    except FAULTS as error:
        raise unavailable(error) from error


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url, timeout=CONNECT_SECONDS_MAX)
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_SECONDS_MAX)


async def connect_without_deadlines(url: str) -> Connection:
    """Connect for what may take as long as it takes; whoever does that is somebody who can wait, and interrupt."""
    endless = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    try:
        return await connect(url, timeout=CONNECT_SECONDS_MAX, server_settings=_SESSION | endless)
    except FAULTS as error:
        raise unavailable(error) from error


async def claim(url: str) -> Connection:
    """Be the only one on a database until the connection is closed; raise `StoreUnavailable`."""
    connection = await connect_without_deadlines(url)
    is_alone = False
    try:
        is_alone = await _is_alone(connection)
    except FAULTS as error:
        raise unavailable(error) from error
    finally:
        if not is_alone:
            connection.terminate()
    if not is_alone:
        raise in_use()
    return connection


async def _check_unclaimed(connection: Connection) -> None:
    """Raise `StoreUnavailable` while another program has claimed the database."""
    if not await _is_unclaimed(connection):
        raise _claimed()


def _claimed() -> StoreUnavailable:
    return StoreUnavailable("the database is being restored, or copied to", "try again when that is done")


async def _is_unclaimed(connection: Connection) -> bool:
    # Shared, and given back at once: those who ask do not disturb one another, nor leave anything in a session.
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock_shared($1)", _ALONE_LOCK))


async def _is_alone(connection: Connection) -> bool:
    async def has_claimed() -> bool:
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ALONE_LOCK))

    async def others_are_gone() -> bool:
        return not await connection.fetchval(_OTHERS)

    return await _soon(has_claimed) and await _soon(others_are_gone)


async def _soon(is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Say whether something is so, now or when PostgreSQL has noticed that somebody was killed or has left."""
    deadline = time.monotonic() + _LEAVING_SECONDS_MAX
    while not await is_so():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def in_use() -> StoreUnavailable:
    return StoreUnavailable("the database is in use by another program", "stop all servers on it, then try again")


async def copy_mark(connection: Connection) -> CopyMark | None:
    """Return the mark that a copy between databases has left."""
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'likewise' AND tablename = 'copy_mark')"
    ):
        return None
    return CopyMark(*await connection.fetchrow("SELECT is_whole, sha256 FROM likewise.copy_mark"))


async def _keep_session(_connection: Connection) -> None:
    """Leave the session as it is when a connection goes back to the pool, because no call of ours changes it.

    So going back is no second round trip, and cannot fail after a write was done.
    """


async def _migrate(connection: Connection, *, create: bool) -> None:
    known = migrations()
    if await _version(connection) == len(known):
        return
    async with connection.transaction():
        # The lock comes first: of several programs that start at once, one migrates and the others find it done.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        # For Citus, which else alters all shards at once and then refuses to make a function in the same transaction;
        # a database without it knows no such setting, and lets anybody make one.
        await connection.execute("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'")
        version = await _version(connection)
        _check_version(version)
        if version == 0 and not create:
            raise StoreUnusable(
                "there is no Likewise in this database",
                "is the URL right? `likewise listener add` or `likewise key add` begins one",
            )
        for migration in known[version:]:
            await connection.execute(migration)
        await connection.execute("DELETE FROM likewise.schema")
        await connection.execute("INSERT INTO likewise.schema VALUES ($1)", len(known))


async def _distribute(connection: Connection, *, on_step: OnStep) -> list[citus.Step]:
    """Take the steps that are left, one program at a time; return them."""
    if not await citus.steps(connection):
        return []
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)  # for the session, since each step is a transaction
    left = await citus.steps(connection)
    await citus.take(connection, left, on_step=on_step)
    return left


def _check_version(version: int) -> None:
    known = len(migrations())
    if version > known:
        raise StoreUnusable(
            f"the database was written by a newer Likewise (schema {version}, this one knows {known})",
            "upgrade this Likewise",
        )


async def _check_whole(connection: Connection) -> None:
    mark = await copy_mark(connection)
    if mark is not None and not mark.is_whole:
        raise StoreUnusable(
            "the database is an unfinished copy of another database",
            "run the same `likewise copy` again, which goes on with it",
        )


async def _version(connection: Connection) -> int:
    # Not to_regclass: what it has seen missing once stays missing for it, also after a wait for whoever made it.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'likewise' AND tablename = 'schema')"
    ):
        return 0
    version: int | None = await connection.fetchval("SELECT version FROM likewise.schema")
    return version or 0


def unavailable(error: BaseException) -> StoreError:
    """Say what a PostgreSQL error means for whoever asked."""
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return StoreUnavailable("PostgreSQL refuses the user or password", "check the database URL")
        case asyncpg.InvalidCatalogNameError():
            return StoreUnavailable("PostgreSQL has no such database", "make it: `createdb`")
        case asyncpg.DuplicateSchemaError():
            return StoreUnusable(
                "the database has a schema `likewise` that Likewise has not made",
                "where it is empty, drop it, and Likewise makes its own: `DROP SCHEMA likewise`",
            )
        case asyncpg.InsufficientPrivilegeError():
            return StoreUnavailable("PostgreSQL does not allow this user to do that", "let it own the database")
        case asyncpg.TooManyConnectionsError():
            return StoreUnavailable(
                "PostgreSQL has no connection left",
                f"each worker takes up to {POOL_CONNECTIONS_MAX}: raise max_connections or run fewer",
            )
        case asyncpg.CannotConnectNowError() | asyncpg.AdminShutdownError() | asyncpg.CrashShutdownError():
            return StoreUnavailable("PostgreSQL is starting or stopping", "try again in a moment")
        case asyncpg.DiskFullError():
            return StoreUnavailable("the disk with the database is full", "make room, then try again")
        case asyncpg.ReadOnlySQLTransactionError():
            return StoreUnavailable("the database is read-only", "is it a standby? name its primary")
        case TimeoutError() | asyncpg.QueryCanceledError() | asyncpg.LockNotAvailableError():
            return StoreUnavailable("PostgreSQL did not answer in time", "is it up, and not overloaded?")
        case asyncpg.PostgresConnectionError():
            return StoreUnavailable("PostgreSQL closed the connection", "was it stopped? see PostgreSQL's own log")
        case asyncpg.PostgresError():
            return StoreUnavailable(f"PostgreSQL failed ({type(error).__name__})", "see PostgreSQL's own log")
        case _:
            return StoreUnavailable("PostgreSQL cannot be reached", "is it up, and are host and port right?")
