"""Distribution over a cluster, as far as plain PostgreSQL can tell: which calls are made, when, and how often.

Citus's functions and tables are stood in for by ones that note what they are asked. What a real cluster makes of it is
told by `tests/contract`, when `LIKEWISE_TEST_CITUS` names one.
"""

import asyncio

import asyncpg
import pytest

from likewise.domain import Item, Kind, Rating, Value
from likewise.errors import StoreUnavailable, StoreUnusable
from likewise.stores import migrate, open_store
from likewise.stores.postgres import PostgresStore, citus, opening
from likewise.tokens import digest_of
from tests.contract.postgres_proxy import proxied
from tests.contract.postgres_server import execute, postgres_server
from tests.house import MONDAY, issue_user_token

SONG = Item(Kind.SONG, "907242702")

_STAND_INS = """
CREATE TABLE calls (number serial, said text);
CREATE TABLE pg_dist_partition (logicalrelid oid);
CREATE TABLE pg_dist_object (classid oid, objid oid, distribution_argument_index int, force_delegation boolean);
CREATE FUNCTION create_distributed_table(name regclass, key text, colocate_with text, shard_count int DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO pg_dist_partition VALUES (name);
    INSERT INTO calls (said) VALUES (format('%s by %s with %s over %s', name, key, colocate_with, shard_count));
$$;
CREATE FUNCTION create_reference_table(name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pg_dist_partition VALUES (name);
    INSERT INTO calls (said) VALUES (format('%s everywhere', name));
$$;
CREATE FUNCTION create_distributed_function(
    function regprocedure, argument text, colocate_with text, force_delegation boolean
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pg_dist_object VALUES ('pg_proc'::regclass, function, 0, force_delegation);
    INSERT INTO calls (said)
    SELECT format('%s by %s with %s', proname, argument, colocate_with) FROM pg_proc WHERE oid = function;
$$;
CREATE FUNCTION truncate_local_data_after_distributing_table(name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO calls (said) VALUES (format('clear %s', name));
$$;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 99999, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.0-1';
"""

TABLES_DISTRIBUTED = [
    "likewise.listeners by id with none over 128",
    "likewise.ratings by listener with likewise.listeners over",
    "likewise.library by listener with likewise.listeners over",
    "likewise.item_names by listener with likewise.listeners over",
    "likewise.names by name with none over 32",
    "likewise.user_tokens by digest with none over 32",
    "likewise.developer_keys everywhere",
]
FUNCTIONS = ["add", "forget", "learn", "link", "unlink", "write", "write"]
FUNCTIONS_DISTRIBUTED = [f"{name} by p_listener with likewise.listeners" for name in FUNCTIONS]


async def stand_in(url: str) -> str:
    await execute_all(url, _STAND_INS)
    return url


async def execute_all(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def calls(url: str) -> list[str]:
    """Return what Citus was asked for since the last time."""
    rows = await execute(url, "SELECT said FROM calls ORDER BY number")
    await execute(url, "DELETE FROM calls")
    return [row["said"].strip() for row in rows]


@pytest.fixture
async def url():
    """A database with our schema, and Citus."""
    return await stand_in(postgres_server().make_database())


@pytest.fixture
async def empty_url():
    return await stand_in(postgres_server().make_database(is_empty=True))


async def is_distributed(url: str) -> bool:
    store = await open_store(url)
    assert isinstance(store, PostgresStore)
    await store.close()
    return store._is_distributed


async def test_migrating_distributes_all_tables_and_all_functions_about_a_listener(url):
    steps: list[str] = []

    migration = await migrate(url, on_step=steps.append)

    version = len(opening.migrations())
    assert (migration.before, migration.after) == (version, version)
    assert migration.distributed[: len(citus.TABLES)] == list(citus.TABLES)
    assert await calls(url) == TABLES_DISTRIBUTED + FUNCTIONS_DISTRIBUTED
    assert steps[:2] == ["distributing listeners", "distributing ratings"]
    assert await is_distributed(url)


async def test_every_table_of_the_schema_has_its_place(url):
    rows = await execute(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'likewise'")

    assert {row["tablename"] for row in rows} == {*citus.TABLES, "schema", "chores"}


async def test_every_unique_index_holds_what_its_table_is_distributed_by(url):
    rows = await execute(
        url,
        """
        SELECT tablename, indexdef FROM pg_indexes
        WHERE schemaname = 'likewise' AND indexdef LIKE 'CREATE UNIQUE%' AND tablename = ANY($1)
        """,
        list(citus.TABLES),
    )

    assert {row["tablename"] for row in rows} == set(citus.TABLES)
    keys = {"listeners": "id", "names": "name", "user_tokens": "digest", "developer_keys": "id"}
    for row in rows:
        assert f"({keys.get(row['tablename'], 'listener')}" in row["indexdef"]


async def test_migrating_again_does_nothing(url):
    await migrate(url)
    await calls(url)

    again = await migrate(url)

    assert again.distributed == []
    assert await calls(url) == []


async def test_an_empty_database_is_begun_and_distributed(empty_url):
    migration = await migrate(empty_url)

    assert (migration.before, migration.after) == (0, len(opening.migrations()))
    assert await calls(empty_url) == TABLES_DISTRIBUTED + FUNCTIONS_DISTRIBUTED


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_dry_run_says_what_would_be_distributed_and_changes_nothing(url, empty_url, is_there):
    asked = url if is_there else empty_url

    migration = await migrate(asked, dry_run=True)

    assert migration.distributed[: len(citus.TABLES)] == list(citus.TABLES)
    assert await calls(asked) == []
    tables = await execute(asked, "SELECT FROM pg_tables WHERE schemaname = 'likewise'")
    assert bool(tables) is is_there


async def test_what_the_coordinator_keeps_of_existing_data_is_cleared(url):
    store = await open_store(url)
    ada = await store.add_listener("ada", "us")
    await store.put(ada, SONG, Value.LIKE, now=MONDAY)
    await store.close()

    migration = await migrate(url)

    said = await calls(url)
    assert [each for each in said if each.startswith("clear")] == [
        f"clear likewise.{table}" for table in ("listeners", "ratings", "names")
    ]
    for table in ("listeners", "ratings", "names"):
        [begun] = [number for number, each in enumerate(said) if each.startswith(f"likewise.{table} ")]
        assert said[begun + 1] == f"clear likewise.{table}"
    assert migration.distributed[: len(citus.TABLES)] == list(citus.TABLES)


async def test_what_was_interrupted_is_completed_by_migrating_again(url):
    await execute_all(
        url,
        """
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a worker is down'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON calls
        FOR EACH ROW WHEN (NEW.said LIKE '%library%') EXECUTE FUNCTION fail();
        """,
    )
    with pytest.raises(StoreUnavailable, match="distributing library failed: a worker is down") as failure:
        await migrate(url)
    assert "likewise migrate" in failure.value.hint
    before = await calls(url)
    await execute(url, "DROP TRIGGER fail ON calls")

    migration = await migrate(url)

    assert before == TABLES_DISTRIBUTED[:2]
    assert migration.distributed[:1] == ["library"]
    assert await calls(url) == TABLES_DISTRIBUTED[2:] + FUNCTIONS_DISTRIBUTED


async def test_several_who_migrate_at_once_do_it_once(url):
    await asyncio.gather(*(migrate(url) for _ in range(4)))

    assert await calls(url) == TABLES_DISTRIBUTED + FUNCTIONS_DISTRIBUTED


async def test_opening_distributes_nothing_by_itself(url):
    assert not await is_distributed(url)
    assert await calls(url) == []


async def test_opening_completes_a_distribution_with_what_is_new(url):
    await migrate(url)
    await calls(url)
    await execute_all(
        url,
        """
        CREATE FUNCTION likewise.later(p_listener bigint) RETURNS bigint LANGUAGE sql AS 'SELECT p_listener';
        CREATE FUNCTION likewise.of_nobody(p_time bigint) RETURNS bigint LANGUAGE sql AS 'SELECT p_time';
        """,
    )

    assert await is_distributed(url)
    assert await calls(url) == ["later by p_listener with likewise.listeners"]


@pytest.mark.parametrize("version", ["11.3-1", "9.5-1"])
async def test_a_citus_too_old_is_refused(url, version):
    await execute(url, "UPDATE pg_extension SET extversion = $1 WHERE extname = 'citus'", version)

    for attempt in (open_store(url), migrate(url), migrate(url, dry_run=True)):
        with pytest.raises(StoreUnusable, match=f"Citus {version}.* 12.0 or newer"):
            await attempt
    assert await calls(url) == []


async def test_postgresql_without_citus_is_migrated_and_not_distributed():
    url = postgres_server().make_database(is_empty=True)

    migration = await migrate(url)

    assert migration.distributed == []
    assert not await is_distributed(url)


# How a cluster is spoken to


@pytest.fixture
async def wired(url):
    """A store on a distributed database, and the wire between the two."""
    await migrate(url)
    async with proxied(url) as proxy:
        store = await open_store(proxy.url)
        yield store, proxy
        await store.close()


async def test_each_listeners_reads_are_a_statement_of_their_own(wired):
    store, proxy = wired
    listeners = [await store.add_listener(f"l{number}", "us") for number in range(4)]
    for listener in listeners:
        await store.put(listener, SONG, Value.LIKE, now=MONDAY)

    async def read():
        return await asyncio.gather(*(store.get(listener, [SONG]) for listener in listeners * 4))

    await read()  # what a new connection asks first is not meant
    proxy.forget()
    found = await read()

    assert found == [[Rating(SONG, Value.LIKE, MONDAY)]] * 16
    # The first read of each listener goes at once, the others of the same listener together after it.
    assert 4 <= proxy.executed <= 8


async def test_one_listeners_writes_go_down_together_and_nobody_elses_with_them(url, wired):
    store, _ = wired
    listeners = [await store.add_listener(f"l{number}", "us") for number in range(4)]
    songs = [Item(Kind.SONG, str(number)) for number in range(8)]

    await asyncio.gather(
        *(store.put(listener, song, Value.LIKE, now=MONDAY) for song in songs for listener in listeners)
    )

    rows = await execute(url, "SELECT count(*), count(DISTINCT listener) FROM likewise.ratings GROUP BY xmin::text")
    assert [row[1] for row in rows] == [1] * len(rows)
    assert max(row[0] for row in rows) > 1


async def test_a_locked_listener_holds_up_nobody_else(url, wired):
    store, _ = wired
    ada, ben = await store.add_listener("ada", "us"), await store.add_listener("ben", "us")
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT FROM likewise.listeners WHERE id = $1 FOR UPDATE", ada.id)

    locked = asyncio.ensure_future(store.put(ada, SONG, Value.LIKE, now=MONDAY))
    await asyncio.sleep(0)
    await store.put(ben, SONG, Value.LIKE, now=MONDAY)
    was_waiting = not locked.done()
    await transaction.rollback()
    await connection.close()
    await locked

    assert was_waiting
    assert await store.get(ada, [SONG]) == [Rating(SONG, Value.LIKE, MONDAY)]


async def test_user_tokens_are_looked_up_one_by_one(wired):
    store, proxy = wired
    ada = await store.add_listener("ada", "us")
    tokens = [await issue_user_token(store, ada) for _ in range(3)]
    digests = [digest_of(token.encode()) for token in tokens]

    async def look_up():
        return await asyncio.gather(*(store.user_token(digest) for digest in [*digests, b"unknown"]))

    await look_up()  # what a new connection asks first is not meant
    proxy.forget()
    found = await look_up()

    assert [token and token.listener for token in found] == [ada, ada, ada, None]
    assert proxy.executed == 4
