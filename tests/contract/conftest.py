"""A store on each adapter, empty but for two listeners."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from likewise.domain import Listener
from likewise.store import Store
from tests.contract.adapters import ADAPTERS, DURABLE_ADAPTERS, Database, Row

Opener: TypeAlias = Callable[[], Awaitable[Store]]


@pytest.fixture(params=ADAPTERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return ADAPTERS[request.param](tmp_path)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    store = await database.open()
    yield store
    await store.close()


@pytest.fixture
async def ada(store: Store) -> Listener:
    return await store.add_listener("ada", "us")


@pytest.fixture
async def ben(store: Store) -> Listener:
    return await store.add_listener("ben", "jp")


@pytest.fixture
def rows(database: Database, store: Store) -> Callable[[Listener], list[Row]]:
    """Look up what the database keeps of a listener's ratings, in the order of change numbers."""
    return lambda listener: database.rows(store, listener)


@pytest.fixture(params=DURABLE_ADAPTERS)
def durable_database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return ADAPTERS[request.param](tmp_path)


@pytest.fixture
async def reopen(durable_database: Database) -> AsyncIterator[Opener]:
    """Open a store on one durable database, as often as is asked for; all are closed at last."""
    async with AsyncExitStack() as stack:

        async def open_once_more() -> Store:
            store = await durable_database.open()
            stack.push_async_callback(store.close)
            return store

        yield open_once_more
