"""How calls travel to PostgreSQL and back: alone on a connection of the pool, or with others in one round trip.

Whatever is asked of PostgreSQL is answered, or `StoreUnavailable`, within `CALL_SECONDS_MAX`, also when it is frozen
and also when the question waits behind others; a few calls ask twice. Only removing a listener may take longer. A batch
is given up a little earlier, `BATCH_SECONDS_MAX` after its start, so that a stuck connection holds up those behind it
for no longer, and those whose part was done are told in time. What is given up here ends in PostgreSQL too, which stops
each statement.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias, TypeVar

import asyncpg

from likewise.domain import DeveloperKey, Rating, UserToken
from likewise.errors import StoreUnavailable
from likewise.store import Statistics, Store
from likewise.stores.batching import Batcher, Lanes
from likewise.stores.postgres import reads
from likewise.stores.postgres.connecting import Connection
from likewise.stores.postgres.opening import FAULTS, POOL_CONNECTIONS_MAX, Opened, unavailable
from likewise.stores.postgres.patience import CALL_SECONDS_MAX, bounded, in_time, within
from likewise.stores.postgres.reads import Read
from likewise.stores.turns import Turns

Result = TypeVar("Result")
Job = TypeVar("Job")
Queue: TypeAlias = Batcher[Job, Result] | Lanes[Job, Result]

BATCH_SECONDS_MAX = 1.5
POOL_WAIT_SECONDS_MAX = 1.0
ROLLBACK_SECONDS_MAX = 0.1
CLOSE_SECONDS_MAX = 5.0

_OWN_FAULTS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
)
"""What one job of a batch may be to blame for, where the others would succeed."""

_NOT_DONE = object()


class _Write(NamedTuple):
    """A call of one of the functions; its listener comes first."""

    sql: str
    arguments: tuple[Any, ...]


def _listener_of(write: _Write) -> int:
    id: int = write.arguments[0]
    return id


class PostgresTrips(Store):
    """The pool of connections to one database, and what waits for them. `claim` keeps all others out."""

    _writes: Queue[_Write, Any]
    _reads: Queue[Read, list[Rating]]
    _token_reads: Queue[bytes, UserToken | None]
    _key_reads: Batcher[str, DeveloperKey | None]

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
        if opened.is_distributed:
            # Whoever lies on a machine that does not answer holds up nobody who lies on another.
            self._writes = Lanes(self._run_writes, _listener_of)
            self._reads = Lanes(partial(reads.ratings_of_one, fetch), reads.listener_of)
            self._token_reads = Lanes(partial(reads.user_tokens_of_one, fetch), reads.itself)
        else:
            self._writes = Batcher(self._run_writes)
            self._reads = Batcher(partial(reads.ratings_of_many, fetch))
            self._token_reads = Batcher(partial(reads.user_tokens_of_many, fetch))
        self._key_reads = Batcher(partial(reads.developer_keys_of_many, fetch))

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

    async def _submit(self, sql: str, listener: int, *arguments: Any) -> Any:
        return await outcome_of(self._writes.submit(_Write(sql, (listener, *arguments))))

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

    def bounded(self, seconds_max: float) -> AbstractContextManager[None]:
        return bounded(seconds_max)

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


async def outcome_of(future: "asyncio.Future[Result]") -> Result:
    """Wait for a job within the deadline. One whose batch has not begun by then is taken out."""
    try:
        return await in_time(future)
    except TimeoutError as error:
        raise unavailable(error) from error
