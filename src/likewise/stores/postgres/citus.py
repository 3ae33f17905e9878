"""Citus, PostgreSQL over many machines: which table lies where, and how a database comes to be so.

All that belongs to one listener lies in shards that move together, so each statement about a listener, and each
function that writes for one, runs on one machine. Names and user tokens are found before the listener is known; they
are sharded by what they are found by. Developer keys are few and on every machine. The version of the schema and the
chores stay on the coordinator.

Each step is a statement with a commit of its own, and what was done is read from Citus's own tables: whoever is
interrupted begins again, and goes on where it ended.

https://docs.citusdata.com/en/stable/develop/api_udf.html
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from likewise.errors import StoreUnavailable, StoreUnusable
from likewise.stores.migrating import OnStep
from likewise.stores.postgres.connecting import Connection

MAJOR_MIN = 12
SHARDS = 128
"""The shards of what belongs to listeners: as many machines can share it, and as finely can it be spread."""
SHARDS_LOOKUP = 32
"""The shards of names and user tokens: small, and a few statements of operators ask all of them."""

_ALONE = "colocate_with := 'none', shard_count := "
_WITH_LISTENERS = "colocate_with := 'likewise.listeners'"

TABLES = {
    "listeners": f"create_distributed_table('likewise.listeners', 'id', {_ALONE} {{shards}})",
    "ratings": f"create_distributed_table('likewise.ratings', 'listener', {_WITH_LISTENERS})",
    "library": f"create_distributed_table('likewise.library', 'listener', {_WITH_LISTENERS})",
    "item_names": f"create_distributed_table('likewise.item_names', 'listener', {_WITH_LISTENERS})",
    "names": f"create_distributed_table('likewise.names', 'name', {_ALONE} {{lookup}})",
    "user_tokens": f"create_distributed_table('likewise.user_tokens', 'digest', {_ALONE} {{lookup}})",
    "developer_keys": "create_reference_table('likewise.developer_keys')",
}
"""How each table is distributed, in this order: the first is where the next three go."""

# What the coordinator still keeps of a table that was distributed is hidden, and takes room until it is cleared.
_TABLES_THERE = """
SELECT
    relname,
    EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = pg_class.oid) AS is_distributed,
    pg_relation_size(oid) > 0 AS has_leftovers
FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'likewise') AND relname = ANY($1::text[])
"""

# Whatever is about one listener says so with its first parameter. What is forced is sent to the listener's machine
# within a transaction too, as when one listener's writes go down together.
_FUNCTIONS = """
SELECT oid::regprocedure::text AS signature
FROM pg_proc
WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'likewise') AND proargnames[1] = 'p_listener'
    AND NOT EXISTS (
        SELECT FROM pg_dist_object
        WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid
            AND distribution_argument_index IS NOT NULL AND force_delegation
    )
ORDER BY signature
"""


class Step(NamedTuple):
    """A call that brings a database nearer to being distributed; `subject` is what it distributes, if anything."""

    says: str
    call: str
    subject: str | None


async def is_available(connection: Connection) -> bool:
    """Say whether the database has the extension; raise `StoreUnusable` for one that is too old."""
    version: str | None = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'citus'")
    if version is not None and int(version.partition(".")[0]) < MAJOR_MIN:
        raise StoreUnusable(
            f"the database has Citus {version}, and Likewise needs {MAJOR_MIN}.0 or newer", "upgrade Citus"
        )
    return version is not None


async def is_distributed(connection: Connection) -> bool:
    """Say whether a distribution has begun."""
    return any(row["is_distributed"] for row in await connection.fetch(_TABLES_THERE, list(TABLES)))


async def steps(connection: Connection, *, shards: int = SHARDS, lookup: int = SHARDS_LOOKUP) -> list[Step]:
    """Return what is left to do; a table that is not there yet is to be distributed too."""
    there = {row["relname"]: row for row in await connection.fetch(_TABLES_THERE, list(TABLES))}
    left = []
    for table, call in TABLES.items():
        row = there.get(table)
        if row is None or not row["is_distributed"]:
            left.append(Step(f"distributing {table}", call.format(shards=shards, lookup=lookup), table))
        if row is not None and row["has_leftovers"]:
            clear = f"truncate_local_data_after_distributing_table('likewise.{table}')"
            left.append(Step(f"clearing what the coordinator kept of {table}", clear, None))
    for row in await connection.fetch(_FUNCTIONS):
        signature = row["signature"]
        call = f"create_distributed_function('{signature}', 'p_listener', {_WITH_LISTENERS}, force_delegation := true)"
        left.append(Step(f"distributing {signature}", call, signature))
    return left


async def take(connection: Connection, left: Sequence[Step], *, on_step: OnStep) -> None:
    """Take these steps in their order; raise `StoreUnavailable` with what Citus says of the one that failed."""
    # A second copy is a standby's business: where a shard has two, Citus can neither lock a row nor send a function.
    await connection.execute("SET citus.shard_replication_factor TO 1")
    for step in left:
        on_step(step.says)
        try:
            await connection.execute(f"SELECT {step.call}")
        except asyncpg.PostgresError as error:
            raise StoreUnavailable(
                f"{step.says} failed: {error}", "mend that, then run `likewise migrate` again: it goes on from here"
            ) from error
