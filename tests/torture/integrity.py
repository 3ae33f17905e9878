"""What must be true of a database of ours, whatever happened to it."""

from typing import NamedTuple

from likewise.stores import open_store
from tests.contract.postgres_server import run_apart
from tests.torture.service import Database


class Counter(NamedTuple):
    listener: int
    changes: int


def wrongs(url: str) -> list[str]:
    """Say what contradicts itself, as `likewise check` does; nothing, it is to be hoped."""

    async def check() -> list[str]:
        store = await open_store(url, create=False)
        try:
            return [f"{finding.rows} {finding.text}" async for finding in store.check()]
        finally:
            await store.close()

    return run_apart(check())


def counters(database: Database) -> list[Counter]:
    return [Counter(*row) for row in database.rows("SELECT id, changes FROM listeners ORDER BY id")]
