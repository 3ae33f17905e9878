"""A real Citus cluster for the tests: the one whose coordinator `LIKEWISE_TEST_CITUS` names.

The database in that URL is the tests' own: what its schema `likewise` holds is dropped. It needs the extension and its
workers, and a user who may create.
"""

import os
from functools import cache

import asyncpg

from likewise.stores.postgres import citus, opening
from tests.contract.postgres_server import execute, run_apart

CITUS = "LIKEWISE_TEST_CITUS"


def emptied_cluster() -> str:
    """Return the URL of the cluster's coordinator, with the schema there, distributed and without a row."""
    url = os.environ[CITUS]
    _distributed(url)
    run_apart(_empty(url))
    return url


@cache
def _distributed(url: str) -> None:
    run_apart(begin(url))
    run_apart(distribute_some(url))


async def begin(url: str) -> None:
    """Begin anew, with the schema on the coordinator alone."""
    await execute(url, "DROP SCHEMA IF EXISTS likewise CASCADE")
    opened = await opening.open_pool(url, create=True)
    await opened.pool.close()


async def distribute_some(url: str, count: int | None = None) -> None:
    """Distribute over few shards, which takes less time; only the first `count` steps."""
    connection = await asyncpg.connect(url)
    try:
        left = await citus.steps(connection, shards=8, lookup=4)
        await citus.take(connection, left[:count], on_step=str)
    finally:
        await connection.close()


async def _empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table in citus.TABLES:
            await connection.execute(f"DELETE FROM likewise.{table}")
    finally:
        await connection.close()
