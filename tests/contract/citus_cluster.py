"""A real Citus cluster for the tests: the one whose coordinator `LIKEWISE_TEST_CITUS` names.

The database in that URL is the tests' own: what its schema `likewise` holds is dropped. It needs the extension and its
workers, and a user who may create databases, for some tests take two: beside `tests` they make `tests_2`, and keep it.
Where that cannot be done, the variable may name two databases, with a space between.
"""

import os
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from likewise.stores.postgres import citus, opening
from tests.contract.postgres_server import execute, run_apart

CITUS = "LIKEWISE_TEST_CITUS"


def emptied_cluster() -> str:
    """Return the URL of a database on the cluster, with the schema there, distributed and without a row.

    The next but one is the same again.
    """
    url = next(_urls())
    run_apart(_empty(url))
    return url


@cache
def _urls() -> Iterator[str]:
    urls = os.environ[CITUS].split()
    if len(urls) == 1:
        urls.append(run_apart(_second(urls[0])))
    for url in urls:
        run_apart(begin(url))
        run_apart(distribute_some(url))
    return cycle(urls)


async def _second(url: str) -> str:
    """Make another database on all nodes of a cluster, unless it is there.

    https://docs.citusdata.com/en/stable/admin_guide/cluster_management.html#creating-a-new-database
    """
    parts = urlsplit(url)
    name = f"{parts.path.strip('/')}_2"
    second = urlunsplit(parts._replace(path=f"/{name}"))
    if await execute(url, "SELECT FROM pg_database WHERE datname = $1", name):
        return second
    nodes = await execute(
        url, "SELECT nodename, nodeport, groupid FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid"
    )
    await execute(url, f'CREATE DATABASE "{name}"')
    await execute(url, "SELECT * FROM run_command_on_workers($1)", f'CREATE DATABASE "{name}"')
    await execute(second, "CREATE EXTENSION citus")
    for host, port, group in nodes:
        if group == 0:
            await execute(second, "SELECT citus_set_coordinator_host($1, $2)", host, port)
        else:
            # In the database that we are in, on a node that it does not know yet.
            [[_, _, is_done, result]] = await execute(
                second,
                "SELECT * FROM master_run_on_worker(ARRAY[$1], ARRAY[$2::int], ARRAY['CREATE EXTENSION citus'], false)",
                host,
                port,
            )
            assert is_done, result
            await execute(second, "SELECT citus_add_node($1, $2)", host, port)
    return second


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
        for table in (*citus.TABLES, "chores"):
            await connection.execute(f"DELETE FROM likewise.{table}")
        await connection.execute("DROP TABLE IF EXISTS likewise.copy_mark")
        await connection.execute("ALTER SEQUENCE likewise.listener_ids RESTART")
    finally:
        await connection.close()
