"""What is promised of a Citus cluster alone; it needs a real one, which `LIKEWISE_TEST_CITUS` names."""

import os
import re
from typing import Any

import asyncpg
import pytest

from likewise.domain import Clue, DeveloperKey, Item, Kind, Rating, Value
from likewise.stores import migrate, open_store
from likewise.stores import postgres as adapter
from likewise.stores.postgres import citus, lists, reads
from tests.contract.citus_cluster import CITUS, begin, distribute_some, emptied_cluster
from tests.contract.postgres_server import execute
from tests.house import MONDAY, TUESDAY, issue_user_token

pytestmark = pytest.mark.skipif(CITUS not in os.environ, reason=f"{CITUS} names no cluster")

SONG = Item(Kind.SONG, "907242702")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJN4BYC1WZ8r")


@pytest.fixture
def url():
    return emptied_cluster()


HOT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "get": (reads.CATALOG_RATINGS_OF_ONE, (7, 1, ["1", "2"])),
    "get from the library": (reads.RATINGS_OF_ONE, (7, [6, 1], ["i.1", "2"])),
    "a page of ratings": (adapter._RATINGS_PAGE, (7, 0, "", 100)),
    "library items": (adapter._LIBRARY_ITEMS, (7, [6, 7], ["i.1", "l.1"])),
    "a library twin": (adapter._LIBRARY_TWIN, (7, 6, "1")),
    "the library": (adapter._LIBRARY, (7, 0, "", 100)),
    "a page of the library": (adapter._LIBRARY_PAGE, (7, 6, 25, 0)),
    "a user token": (reads.USER_TOKEN, (b"digest",)),
    "a listener by name": (f"{adapter._LISTENERS} WHERE name = $1", ("ada",)),
    "the newest ratings": (lists._NEWEST, (7, None, None, None, 0, "", 25)),
    "changes": (lists._CHANGES, (7, 0, 100)),
    "tombstones": (lists._TOMBSTONES, (7, MONDAY, 100)),
    "names of items": (lists._NAMES, (0, [1], ["1"])),
    "items by code": (lists._NAMED[Clue.ISRC], (0, ["GBAYE0601498"], 5)),
    "items by name": (lists._NAMED[Clue.MATCH_KEY], (0, ["yellow\ncoldplay"], 5)),
    "write": (adapter._WRITE, (7, [1], ["1"], [1], [None], None, None, MONDAY)),
    "forget": (adapter._FORGET, (7, [1], ["1"], [5])),
    "learn": (adapter._LEARN, (0, [1], ["1"], *([["Yellow"]] * 7))),
    "add": (adapter._ADD, (7, [6], ["i.1"], ["1"], MONDAY)),
    "link": (adapter._LINK, (7, 6, "i.1", "1", MONDAY)),
    "unlink": (adapter._UNLINK, (7, 6, "i.1", MONDAY)),
}


async def tasks_of(connection: asyncpg.Connection, sql: str, arguments: tuple[Any, ...]) -> list[int]:
    """Return the number of tasks in each distributed part of the plan."""
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (COSTS OFF) {sql}", *arguments))
    assert "Subplan" not in plan, plan
    return [int(count) for count in re.findall(r"Task Count: (\d+)", plan)]


@pytest.mark.parametrize("name", HOT)
async def test_each_hot_statement_is_one_task_on_one_shard(url, name):
    connection = await asyncpg.connect(url)
    try:
        alone = await tasks_of(connection, *HOT[name])
        async with connection.transaction():
            together = await tasks_of(connection, *HOT[name])
    finally:
        await connection.close()

    assert alone == [1]
    assert together == [1]


async def test_a_developer_key_is_found_without_asking_every_machine(url):
    connection = await asyncpg.connect(url)
    try:
        tasks = await tasks_of(connection, f"{reads.KEYS} WHERE id = ANY($1)", (["ABC123DEFG", "ABC123DEFH"],))
    finally:
        await connection.close()

    assert tasks in ([], [1])  # none where the coordinator has a copy of its own


async def test_what_belongs_to_one_listener_lies_together(url):
    rows = await execute(
        url,
        """
        SELECT logicalrelid::text AS name, colocationid
        FROM pg_dist_partition
        WHERE logicalrelid::text LIKE 'likewise.%'
        """,
    )
    groups = {row["name"].removeprefix("likewise."): row["colocationid"] for row in rows}

    assert set(groups) == set(citus.TABLES)
    assert groups["listeners"] == groups["ratings"] == groups["library"] == groups["item_names"]
    assert len(set(groups.values())) == len(citus.TABLES) - 3


async def test_existing_data_is_distributed_also_after_an_interruption_and_only_once(url):
    await begin(url)
    store = await open_store(url)
    listeners = [await store.add_listener(f"l{number}", "us") for number in range(20)]
    for listener in listeners:
        await store.put(listener, SONG, Value.LIKE, now=MONDAY)
        await store.link(listener, LIBRARY_SONG, SONG, now=MONDAY)
    token = await issue_user_token(store, listeners[0])
    await store.add_developer_key(DeveloperKey("ABC123DEFG", "DEF123GHIJ", "PEM", MONDAY))
    await store.close()

    would = await migrate(url, dry_run=True)
    await distribute_some(url, 3)
    half = await open_store(url)  # which completes it
    await half.put(listeners[1], SONG, Value.DISLIKE, now=TUESDAY)
    await half.close()
    again = await migrate(url)
    leftovers = await execute(
        url, "SELECT relname FROM pg_class WHERE relname = ANY($1) AND pg_relation_size(oid) > 0", list(citus.TABLES)
    )
    store = await open_store(url)
    ratings = [await store.get(listener, [SONG, LIBRARY_SONG]) for listener in listeners]
    names = await store.listeners()
    tokens = await store.user_tokens(listeners[0])
    keys = await store.developer_keys()
    await store.close()

    assert would.distributed[: len(citus.TABLES)] == list(citus.TABLES)
    assert again.distributed == []
    assert leftovers == []
    assert ratings[0] == [Rating(SONG, Value.LIKE, MONDAY), Rating(LIBRARY_SONG, Value.LIKE, MONDAY)]
    assert ratings[1] == [Rating(SONG, Value.DISLIKE, TUESDAY), Rating(LIBRARY_SONG, Value.DISLIKE, TUESDAY)]
    assert ratings[2:] == [ratings[0]] * 18
    assert names == sorted(listeners, key=lambda listener: listener.name)
    assert [each.listener for each in tokens] == [listeners[0]]
    assert [key.id for key in keys] == ["ABC123DEFG"]
    assert token
