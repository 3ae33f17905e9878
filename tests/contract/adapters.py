"""The adapters that the contract runs on. A new one is a class here and an entry in `ADAPTERS`; none is excused."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from likewise.domain import KINDS_BY_NUMBER, Item, Listener, Time
from likewise.store import Store
from likewise.stores import open_store
from likewise.stores.postgres import PostgresStore
from likewise.stores.postgres.opening import open_pool
from likewise.stores.sqlite import SQLiteStore
from tests.contract.citus_cluster import CITUS, emptied_cluster
from tests.contract.postgres_server import execute, postgres_server, run_apart


class Row(NamedTuple):
    """A rating as the database keeps it; `value` 0 is a tombstone."""

    item: Item
    value: int
    time: Time
    change: int


class Database(ABC):
    """One database of an adapter, empty when it is made. The port tells no change numbers, so `rows` looks inside."""

    url: str

    async def open(self) -> Store:
        """Open one more store on the database."""
        return await open_store(self.url)

    @abstractmethod
    def rows(self, store: Store, listener: Listener) -> list[Row]:
        """Return what `store` keeps of a listener's ratings, tombstones too."""


_ROWS = "SELECT kind, id, value, time, change FROM ratings WHERE listener = ? ORDER BY change"


def _row(kind_number: int, id: str, value: int, time: Time, change: int) -> Row:
    return Row(Item(KINDS_BY_NUMBER[kind_number], id), value, time, change)


class SQLiteMemory(Database):
    url = "sqlite:///:memory:"

    def __init__(self, _folder: Path) -> None:
        pass

    def rows(self, store: Store, listener: Listener) -> list[Row]:
        assert isinstance(store, SQLiteStore)
        return [_row(*row) for row in store._reader.execute(_ROWS, (listener.id,))]


class SQLiteFile(Database):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "contract.db"
        self.url = f"sqlite:///{self.path}"

    def rows(self, _store: Store, listener: Listener) -> list[Row]:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        rows: list[tuple[Any, ...]] = connection.execute(_ROWS, (listener.id,)).fetchall()
        connection.close()
        return [_row(*row) for row in rows]


class Postgres(Database):
    def __init__(self, _folder: Path) -> None:
        self.url = postgres_server().make_database()

    def rows(self, _store: Store, listener: Listener) -> list[Row]:
        sql = _ROWS.replace("FROM ratings", "FROM likewise.ratings").replace("?", "$1")
        return [_row(*row) for row in run_apart(execute(self.url, sql, listener.id))]


class PostgresByListener(Postgres):
    """Speaks to PostgreSQL as to a cluster: each listener apart."""

    async def open(self) -> Store:
        opened = await open_pool(self.url, create=True)
        return PostgresStore(self.url, opened._replace(is_distributed=True), None)


class Citus(Postgres):
    """The cluster whose coordinator `LIKEWISE_TEST_CITUS` names; its one database is emptied for each test."""

    def __init__(self, _folder: Path) -> None:
        self.url = emptied_cluster()


ADAPTERS: dict[str, Callable[[Path], Database]] = {
    "sqlite": SQLiteFile,
    "sqlite-memory": SQLiteMemory,
    "postgres": Postgres,
    "postgres-by-listener": PostgresByListener,
}

DURABLE_ADAPTERS = ["sqlite", "postgres", "postgres-by-listener"]
"""Those that keep their database when the store is closed, and that several stores may open at once."""

if CITUS in os.environ:
    ADAPTERS["citus"] = Citus
    DURABLE_ADAPTERS.append("citus")
