"""What PostgreSQL alone promises: how many statements a request takes, who shares a commit, who waits how long."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from likewise.domain import Change, Changed, Item, Kind, LibraryPage, Listener, Rating, Value
from likewise.errors import BadSetting, LikewiseError, StoreUnavailable, StoreUnusable
from likewise.stores import batching, open_store, turns
from likewise.stores.postgres import PostgresStore, opening, patience, trips
from tests.contract.postgres_proxy import Proxy, proxied
from tests.contract.postgres_server import execute, open_house, postgres_server
from tests.house import DISLIKE_BODY, LIKE_BODY, MONDAY, TUESDAY, House, issue_user_token

LIKE, DISLIKE = Value.LIKE, Value.DISLIKE
SONG = Item(Kind.SONG, "907242702")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJN4BYC1WZ8r")
LIBRARY_ALBUM = Item(Kind.LIBRARY_ALBUM, "l.oVcmBZH")
SCHEMA = len(opening.migrations())
SLACK_SECONDS = 1.5
"""What a slow machine may add to a deadline."""


@pytest.fixture
def url():
    return postgres_server().make_database()


@pytest.fixture
def empty_url():
    return postgres_server().make_database(is_empty=True)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = await open_store(url, create=False)
    assert isinstance(store, PostgresStore)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(url):
    async with opened(url) as store:
        yield store


@pytest.fixture
async def ada(store):
    return await store.add_listener("ada", "us")


@pytest.fixture
async def ben(store):
    return await store.add_listener("ben", "jp")


@pytest.fixture
async def proxy(url):
    async with proxied(url) as proxy:
        yield proxy


@pytest.fixture
async def wired(proxy):
    """A store behind the proxy."""
    async with opened(proxy.url) as store:
        yield store
        proxy.resume()


@pytest.fixture
async def wired_house(proxy, private_key, clock):
    """A whole application behind the proxy."""
    async with open_house(proxy.url, private_key, clock) as house:
        yield house
        proxy.resume()


@asynccontextmanager
async def locked(url: str, listener: Listener) -> AsyncIterator[None]:
    """Hold the row of a listener in another transaction."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM likewise.listeners WHERE id = $1 FOR UPDATE", listener.id)
            yield
    finally:
        await connection.close()


class Timed(NamedTuple):
    outcome: Any
    seconds: float


async def timed(work: Awaitable[Any]) -> Timed:
    """Wait for an outcome, which may be an error of ours, and say how long it took."""
    begun = time.monotonic()
    try:
        outcome = await work
    except LikewiseError as error:
        outcome = error
    return Timed(outcome, time.monotonic() - begun)


async def until(is_so: Callable[[], Awaitable[Any]], seconds_max: float = 10) -> None:
    deadline = time.monotonic() + seconds_max
    while not await is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def song(number: int) -> Item:
    return Item(Kind.SONG, str(number))


async def call_on(url: str, action: str, code: str) -> None:
    """Let the database run PL/pgSQL before each insertion or deletion of a rating."""
    await execute(url, f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {code} END $$")
    await execute(url, f"CREATE TRIGGER act BEFORE {action} ON likewise.ratings FOR EACH ROW EXECUTE FUNCTION act()")


async def busy(url: str) -> int:
    """Count the statements and transactions that others have under way in this database."""
    [[count]] = await execute(
        url,
        """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
        """,
    )
    return int(count)


async def tokens_of_many(house: House, count: int) -> list[str]:
    """Add many listeners and give each a token."""
    tokens = []
    for number in range(count):
        listener = await house.app.store.add_listener(f"l{number}", "us")
        tokens.append(await issue_user_token(house.app.store, listener))
    return tokens


# How many statements


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/me/ratings/songs/1", LIKE_BODY, 200),
        ("PUT", "/v1/me/ratings/library-songs/i.1", LIKE_BODY, 200),
        ("GET", "/v1/me/ratings/songs/1", None, 404),
        ("GET", "/v1/me/ratings/songs?ids=1,2,3", None, 200),
        ("GET", "/v1/me/ratings/library-songs/i.1", None, 404),
        ("GET", "/v1/me/ratings/songs?ids=1&include=content", None, 200),
        ("DELETE", "/v1/me/ratings/songs/1", None, 404),
        ("POST", "/v1/me/favorites?ids[songs]=1,2&ids[library-songs]=i.1", None, 202),
        ("DELETE", "/v1/me/favorites?ids[songs]=1,2", None, 202),
        ("POST", "/v1/me/library?ids[songs]=1,2&ids[albums]=1", None, 202),
        ("GET", "/v1/me/library?ids[library-songs]=i.1&ids[library-albums]=l.1", None, 200),
        ("GET", "/v1/me/library/songs", None, 200),
        ("GET", "/v1/me/library/songs/i.1", None, 404),
        ("GET", "/v1/catalog/us/songs/1/library", None, 404),
        ("DELETE", "/v1/me/library/songs/i.1", None, 404),
    ],
)
async def test_a_request_is_one_statement_in_one_round_trip(wired_house, proxy, method, path, body, status):
    async with wired_house.client(wired_house.ada_token) as client:
        # Twice, so that the tokens are remembered and the statement is prepared. What is found is gone by then.
        for _ in range(2):
            await client.request("GET", "/v1/me/storefront")
            await client.request("DELETE" if method == "PUT" else method, path)
            await client.request(method, path, content=body)
        proxy.forget()
        response = await client.request(method, path, content=body)

    assert response.status_code == status
    assert (proxy.trips, proxy.executed) == (1, 1)


async def test_a_request_whose_tokens_are_not_remembered_is_three_statements(wired_house, proxy):
    async with wired_house.client(wired_house.ada_token) as client:
        await client.get("/v1/me/ratings/songs/1")
        wired_house.clock.advance(60_000)
        proxy.forget()
        await client.get("/v1/me/ratings/songs/1")

    assert (proxy.trips, proxy.executed) == (3, 3)


async def test_a_request_that_needs_no_rating_is_no_statement(wired_house, proxy):
    async with wired_house.client(wired_house.ada_token) as client:
        await client.get("/v1/me/storefront")
        proxy.forget()
        await client.get("/v1/me/storefront")
        await client.get("/v1/me/ratings/songs/one")

    assert (proxy.trips, proxy.executed) == (0, 0)


# Who shares a commit


async def commits(url: str) -> int:
    [[count]] = await execute(url, "SELECT count(DISTINCT xmin::text) FROM likewise.ratings")
    return int(count)


async def test_writes_that_come_together_are_one_round_trip_and_one_commit(url, wired, proxy):
    listeners = [await wired.add_listener(f"l{number}", "us") for number in range(8)]
    await wired.put(listeners[0], song(99), LIKE, now=MONDAY)
    proxy.forget()
    await asyncio.gather(
        *(wired.put(listener, song(number), LIKE, now=MONDAY) for listener in listeners for number in range(8))
    )

    assert (proxy.trips, proxy.executed) == (1, 64)
    assert await commits(url) == 2


async def test_puts_over_http_share_commits(url, wired_house, proxy):
    async with wired_house.client(wired_house.ada_token) as client:
        await client.put("/v1/me/ratings/songs/1", content=LIKE_BODY)
        proxy.forget()
        responses = await asyncio.gather(
            *(client.put(f"/v1/me/ratings/songs/{number}", content=DISLIKE_BODY) for number in range(2, 66))
        )

    assert {response.status_code for response in responses} == {200}
    assert proxy.executed == 64
    assert proxy.trips <= 8
    assert await commits(url) <= 9


async def test_reads_that_come_together_are_one_statement(wired, proxy):
    listeners = [await wired.add_listener(f"l{number}", "us") for number in range(8)]
    for listener in listeners:
        await wired.put(listener, SONG, LIKE, now=MONDAY)
    await wired.get(listeners[0], [SONG])
    proxy.forget()
    found = await asyncio.gather(*(wired.get(listener, [song(1), SONG]) for listener in listeners))

    assert found == [[Rating(SONG, LIKE, MONDAY)]] * 8
    assert (proxy.trips, proxy.executed) == (1, 1)


async def test_listeners_who_come_in_together_are_looked_up_together(wired_house, proxy):
    tokens = await tokens_of_many(wired_house, 16)
    clients = [wired_house.client(token) for token in tokens]
    for _ in range(2):
        wired_house.clock.advance(60_000)
        proxy.forget()
        await asyncio.gather(*(client.get("/v1/me/storefront") for client in clients))
    await asyncio.gather(*(client.aclose() for client in clients))

    # The first of each kind goes at once, those that came meanwhile together.
    assert proxy.executed <= 4


async def test_different_writes_that_come_together_all_happen(store, ada, ben):
    await store.put(ben, LIBRARY_SONG, LIKE, now=MONDAY)
    outcomes: Any = await asyncio.gather(
        store.put(ada, SONG, LIKE, now=MONDAY),
        store.add(ada, [(LIBRARY_ALBUM, Item(Kind.ALBUM, "1"))], now=MONDAY),
        store.unlink(ben, LIBRARY_SONG, now=TUESDAY),
        store.link(ada, LIBRARY_SONG, SONG, now=TUESDAY),
        store.delete(ben, SONG, now=TUESDAY),
    )

    assert list(outcomes) == [None, None, True, None, False]
    assert await store.get(ada, [LIBRARY_SONG]) == [Rating(LIBRARY_SONG, LIKE, MONDAY)]


async def test_a_page_past_the_end_has_no_items_and_the_size_of_the_whole(store, ada):
    await store.put(ada, LIBRARY_SONG, LIKE, now=MONDAY)

    assert await store.library_page(ada, Kind.LIBRARY_SONG, limit=5, offset=1) == LibraryPage([], 1)
    assert await store.library_page(ada, Kind.LIBRARY_ALBUM, limit=5, offset=0) == LibraryPage([], 0)


async def test_a_write_at_fault_fails_alone(url, store, ada, ben):
    await execute(url, "ALTER TABLE likewise.ratings ADD CHECK (id <> '13')")

    outcomes = await asyncio.gather(
        *(store.put(listener, song(number), LIKE, now=MONDAY) for listener in (ben, ada) for number in range(12, 15)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), StoreUnavailable, type(None)] * 2
    assert [rating.item.id for rating in await store.get(ada, [song(12), song(13), song(14)])] == ["12", "14"]


@pytest.mark.parametrize("now", [2**63, "Monday"], ids=["too large", "no number"])
async def test_a_write_that_cannot_be_said_fails_alone(store, ada, ben, now):
    outcomes = await asyncio.gather(
        store.put(ada, SONG, LIKE, now=MONDAY),
        store.put(ben, SONG, LIKE, now=now),
        store.put(ben, song(1), LIKE, now=MONDAY),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), StoreUnavailable, type(None)]
    assert await store.get(ben, [SONG, song(1)]) == [Rating(song(1), LIKE, MONDAY)]


async def test_a_listener_who_is_locked_does_not_hold_up_the_others(url, store, ada, ben):
    async with locked(url, ada):
        outcomes = await asyncio.gather(
            *(timed(store.put(listener, SONG, LIKE, now=MONDAY)) for listener in (ada, ben, ada, ben))
        )

    assert [type(each.outcome) for each in outcomes] == [StoreUnavailable, type(None)] * 2
    assert all(each.seconds < patience.CALL_SECONDS_MAX + SLACK_SECONDS for each in outcomes)
    assert await store.get(ada, [SONG]) == []
    assert await store.get(ben, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


async def test_what_was_done_before_the_deadline_is_acknowledged(url, store, ada, ben):
    # Ada's write fails, then each goes by itself, and a third listener's never ends.
    cy = await store.add_listener("cy", "us")
    await call_on(
        url,
        "INSERT",
        f"""
        IF NEW.listener = {ada.id} THEN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END IF;
        IF NEW.listener = {cy.id} THEN PERFORM pg_sleep(60); END IF;
        RETURN NEW;
        """,
    )
    outcomes = await asyncio.gather(
        *(store.put(each, SONG, LIKE, now=MONDAY) for each in (ada, ben, cy)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, type(None), StoreUnavailable]
    assert await store.get(ben, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


async def test_two_workers_who_write_the_same_listeners_in_opposite_orders_never_wait_in_a_circle(url, store):
    listeners = [await store.add_listener(f"l{number:02}", "us") for number in range(16)]
    async with opened(url) as other:

        async def write_all(store: PostgresStore, order: list[Listener], value: Value) -> None:
            for round in range(12):
                await asyncio.gather(*(store.put(each, song(round), value, now=MONDAY) for each in order))

        await asyncio.gather(write_all(store, listeners, LIKE), write_all(other, listeners[::-1], DISLIKE))
    ratings = [await store.get(listener, [song(number) for number in range(12)]) for listener in listeners]
    [[deadlocks]] = await execute(url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")

    assert [len(each) for each in ratings] == [12] * 16
    assert deadlocks == 0


async def test_when_the_loop_ends_nobody_is_left_waiting(wired, proxy):
    ada = await wired.add_listener("ada", "us")
    await wired.put(ada, SONG, LIKE, now=MONDAY)
    proxy.forget()
    proxy.stall()
    calls = [asyncio.ensure_future(wired.put(ada, SONG, LIKE, now=MONDAY))]
    await until(lambda: has_asked(proxy))
    calls.append(asyncio.ensure_future(wired.put(ada, SONG, LIKE, now=MONDAY)))
    await asyncio.sleep(0)
    wired._writes._draining.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    proxy.resume()

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2


# Pages of everything


async def test_pages_of_everything_are_one_statement_each_and_leave_nothing_out(wired, proxy):
    ada = await wired.add_listener("ada", "us")
    items = [song(1), song(2), LIBRARY_SONG, LIBRARY_ALBUM]
    await wired.write(ada, [Change(item, LIKE) for item in items], now=MONDAY)
    for _ in range(2):
        proxy.forget()
        first = await wired.ratings(ada, after=None, limit=3)
        rest = await wired.ratings(ada, after=first[-1].item, limit=3)
        library = await wired.library(ada, after=LIBRARY_SONG, limit=3)
        await wired.ping()

    assert [rating.item for rating in first + rest] == items
    assert [each.item for each in library] == [LIBRARY_ALBUM]
    assert (proxy.trips, proxy.executed) == (4, 4)


# What the database is


async def test_every_id_is_compared_byte_for_byte(url):
    columns = await execute(
        url,
        """
        SELECT class.relname || '.' || attname AS column, collname
        FROM pg_attribute
        JOIN pg_class AS class ON class.oid = attrelid AND relkind = 'r'
        JOIN pg_namespace AS namespace ON namespace.oid = relnamespace AND nspname = 'likewise'
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attname IN ('id', 'twin', 'name', 'digest') AND atttypid IN ('text'::regtype, 'bytea'::regtype)
        ORDER BY 1
        """,
    )

    assert {row["column"]: row["collname"] for row in columns} == {
        "chores.name": "C",
        "developer_keys.id": "C",
        "item_names.id": "C",
        "library.id": "C",
        "library.twin": "C",
        "names.name": "C",
        "ratings.id": "C",
        "user_tokens.digest": None,
        "user_tokens.id": "C",
        "user_tokens.name": "default",  # what a token tells, nothing is looked up by it
    }


async def test_a_session_holds_to_our_promises_whatever_the_database_prefers(url):
    name = urlsplit(url).path.strip("/")
    await execute(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    await execute(url, f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    async with opened(url) as store:
        rows = await store._fetch(
            """
            SELECT name, setting FROM pg_settings
            WHERE name IN ('synchronous_commit', 'default_transaction_isolation', 'statement_timeout', 'lock_timeout')
            ORDER BY name
            """
        )

    assert [tuple(row) for row in rows] == [
        ("default_transaction_isolation", "read committed"),
        ("lock_timeout", "500"),
        ("statement_timeout", "2000"),
        ("synchronous_commit", "on"),
    ]


# Lists


async def test_one_listener_alone_cannot_keep_others_from_their_lists(store, ada, ben, monkeypatch):
    monkeypatch.setattr(turns, "ASKED_EACH_MAX", 3)

    outcomes = await asyncio.gather(
        *(store.newest_ratings(listener, after=None, limit=9) for listener in [ada] * 5 + [ben]), return_exceptions=True
    )

    assert [isinstance(outcome, StoreUnavailable) for outcome in outcomes] == [False] * 3 + [True] * 2 + [False]
    assert (await store.newest_ratings(ada, after=None, limit=9)).total == 0


async def test_the_lists_of_one_listener_take_one_connection(wired, proxy):
    ada = await wired.add_listener("ada", "us")
    proxy.answer_seconds = 0.05
    reads = [asyncio.ensure_future(wired.newest_ratings(ada, after=None, limit=9)) for _ in range(5)]
    reads += [asyncio.ensure_future(wired.changes(ada, after=0, limit=9)) for _ in range(5)]
    reads += [asyncio.ensure_future(wired.library_page(ada, Kind.LIBRARY_SONG, limit=9, offset=0)) for _ in range(5)]

    assert await most_connections(wired, reads) == 1


async def test_the_lists_of_all_listeners_leave_half_of_the_connections_to_others(wired, proxy):
    listeners = [await wired.add_listener(f"listener-{number}", "us") for number in range(12)]
    proxy.answer_seconds = 0.05
    reads = [asyncio.ensure_future(wired.newest_ratings(each, after=None, limit=9)) for each in listeners]

    assert await most_connections(wired, reads) == opening.POOL_CONNECTIONS_MAX // 2


async def most_connections(store: PostgresStore, reads: Sequence[Awaitable[Any]]) -> int:
    """Wait for all reads, and say how many connections were in use at most."""
    together = asyncio.gather(*reads)
    most = 0
    while not together.done():
        most = max(most, store.statistics().connections_in_use)
        await asyncio.sleep(0.001)
    await together
    return most


async def test_whoever_waits_for_a_turn_too_long_is_told_so_in_time(wired, proxy):
    ada = await wired.add_listener("ada", "us")
    await wired.newest_ratings(ada, after=None, limit=9)
    proxy.stall()

    began = time.monotonic()
    outcomes = await asyncio.gather(
        *(wired.newest_ratings(ada, after=None, limit=9) for _ in range(5)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 5
    assert time.monotonic() - began < patience.CALL_SECONDS_MAX + SLACK_SECONDS


# Migrations


async def schema(url: str) -> list[Any]:
    return await execute(
        url, "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('likewise') ORDER BY relname"
    )


async def test_ten_openings_of_an_empty_database_at_once_all_succeed(empty_url):
    stores = await asyncio.gather(*(open_store(empty_url) for _ in range(10)))
    await asyncio.gather(*(store.add_listener(f"l{number}", "us") for number, store in enumerate(stores)))
    listeners = await stores[0].listeners()
    await asyncio.gather(*(store.close() for store in stores))

    assert [listener.name for listener in listeners] == [f"l{number}" for number in range(10)]
    assert [row["version"] for row in await execute(empty_url, "SELECT version FROM likewise.schema")] == [SCHEMA]


_OPEN_AND_ADD = """
import asyncio, sys
from likewise.stores import open_store

async def main():
    store = await open_store(sys.argv[1])
    await store.add_listener(sys.argv[2], "us")
    await store.close()

asyncio.run(main())
"""


async def test_processes_that_open_an_empty_database_at_once_all_succeed(empty_url):
    commands = [[sys.executable, "-c", _OPEN_AND_ADD, empty_url, f"l{number}"] for number in range(10)]

    done = await asyncio.gather(
        *(asyncio.to_thread(subprocess.run, command, capture_output=True, check=False) for command in commands)
    )

    assert [(process.returncode, process.stderr) for process in done] == [(0, b"")] * 10
    async with opened(empty_url) as store:
        assert len(await store.listeners()) == 10


async def test_an_older_schema_is_brought_up_to_date_and_keeps_what_it_has(url, store, ada, monkeypatch):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    known = opening.migrations()
    monkeypatch.setattr(
        opening,
        "migrations",
        lambda: [*known, "CREATE TABLE likewise.later (id int); INSERT INTO likewise.later VALUES (7)"],
    )
    for _ in range(2):
        async with opened(url) as newer:
            ratings = await newer.get(ada, [SONG])

    assert ratings == [Rating(SONG, LIKE, MONDAY)]
    assert [tuple(row) for row in await execute(url, "SELECT version, id FROM likewise.schema, likewise.later")] == [
        (SCHEMA + 1, 7)
    ]


async def test_a_database_of_the_first_schema_keeps_its_ratings_and_can_be_followed(empty_url):
    connection = await asyncpg.connect(empty_url)
    await connection.execute(opening.migrations()[0])
    await connection.close()
    await execute(empty_url, "INSERT INTO likewise.schema VALUES (1)")
    await execute(empty_url, "INSERT INTO likewise.names VALUES ('ada', 1, 'us'), ('ben', 2, 'jp')")
    await execute(empty_url, "INSERT INTO likewise.listeners VALUES (1, 7), (2, 0)")
    await execute(empty_url, "INSERT INTO likewise.ratings VALUES (1, 1, '907242702', 1, $1, 7)", MONDAY)

    async with opened(empty_url) as store:
        pages = [await store.changes(listener, after=0, limit=9) for listener in await store.listeners()]

    assert pages[0].changes == [Changed(SONG, LIKE, MONDAY, 7)]
    assert [page.history[:2] for page in pages] == [(7, 0), (0, 0)]
    assert pages[0].history.era != pages[1].history.era


async def test_a_worker_of_an_older_likewise_goes_on_writing_while_the_service_is_upgraded(url, store, ada):
    sql = "SELECT likewise.write($1, $2, $3, $4, $5, $6) AS done"
    await store.put(ada, SONG, LIKE, now=MONDAY)

    [row] = await execute(url, sql, ada.id, [1, 1], ["907242702", "1"], [None, -1], [None, None], TUESDAY)

    assert row["done"] == [True, True]
    page = await store.changes(ada, after=0, limit=9)
    assert page.changes == [Changed(SONG, None, TUESDAY, 2), Changed(Item(Kind.SONG, "1"), Value.DISLIKE, TUESDAY, 3)]


async def test_a_migration_that_fails_leaves_the_database_as_it_was(url, monkeypatch):
    before = await schema(url)
    known = opening.migrations()
    monkeypatch.setattr(
        opening, "migrations", lambda: [*known, "CREATE TABLE likewise.later (); SELECT * FROM nowhere"]
    )

    with pytest.raises(StoreUnavailable, match="UndefinedTable"):
        await open_store(url)
    assert await schema(url) == before


async def test_a_newer_schema_is_refused_and_left_alone(url):
    await execute(url, f"UPDATE likewise.schema SET version = {SCHEMA + 1}")

    with pytest.raises(
        StoreUnusable, match=rf"newer Likewise \(schema {SCHEMA + 1}, this one knows {SCHEMA}\)"
    ) as refusal:
        await open_store(url)
    assert refusal.value.hint == "upgrade this Likewise"
    assert [row["version"] for row in await execute(url, "SELECT version FROM likewise.schema")] == [SCHEMA + 1]


async def test_an_empty_database_is_refused_where_none_is_to_be_created(empty_url):
    with pytest.raises(StoreUnusable, match="no Likewise in this database") as refusal:
        await open_store(empty_url, create=False)

    assert "likewise key add" in refusal.value.hint
    assert await schema(empty_url) == []


async def test_a_schema_of_the_same_name_that_is_not_ours_is_refused_with_a_way_out(empty_url):
    await execute(empty_url, "CREATE SCHEMA likewise")

    with pytest.raises(StoreUnusable, match="has a schema `likewise` that Likewise has not made") as refusal:
        await open_store(empty_url)
    assert "DROP SCHEMA likewise" in refusal.value.hint

    await execute(empty_url, "DROP SCHEMA likewise")
    await (await open_store(empty_url)).close()


# Refusals


def with_user(url: str, user: str, password: str = "") -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))


@pytest.fixture
async def stranger(empty_url):
    """A user of the server who may do nothing there."""
    name = f"stranger_{uuid.uuid4().hex}"
    await execute(empty_url, f"CREATE ROLE {name} LOGIN")
    yield name
    await execute(empty_url, f"DROP ROLE {name}")


async def test_an_unknown_user_is_refused(empty_url):
    with pytest.raises(StoreUnavailable, match="refuses the user or password") as refusal:
        await open_store(with_user(empty_url, "nobody-we-know", "Tr0ub4dor"))

    assert "Tr0ub4dor" not in str(refusal.value) + refusal.value.hint


async def test_a_database_that_is_not_there_is_refused():
    with pytest.raises(StoreUnavailable, match="no such database") as refusal:
        await open_store(postgres_server().url_of("nowhere"))

    assert "createdb" in refusal.value.hint


async def test_a_user_who_may_not_create_is_refused(empty_url, stranger):
    with pytest.raises(StoreUnavailable, match="does not allow this user"):
        await open_store(with_user(empty_url, stranger))


async def test_a_server_without_room_is_refused(empty_url, stranger):
    await execute(empty_url, f"ALTER ROLE {stranger} CONNECTION LIMIT 0")

    with pytest.raises(StoreUnavailable, match="no connection left") as refusal:
        await open_store(with_user(empty_url, stranger))
    assert "max_connections" in refusal.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:Tr0ub4dor@127.0.0.1:1/likewise",
        "postgres://ada:Tr0ub4dor@127.0.0.1:1/likewise",
        "postgresql://ada:Tr0ub4dor@/likewise?host=/nowhere",
    ],
)
async def test_a_server_that_is_not_there_is_refused(url):
    with pytest.raises(StoreUnavailable, match="cannot be reached") as refusal:
        await open_store(url)

    assert "Tr0ub4dor" not in str(refusal.value) + refusal.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:Tr0ub4dor@host:port/likewise",
        "postgresql://ada:Tr0ub4dor@[::1/likewise",
        "postgresql://ada:Tr0ub4dor@h/likewise?sslmode=perhaps",
    ],
)
async def test_a_url_that_asyncpg_cannot_read_is_refused_and_not_repeated(url):
    with pytest.raises(BadSetting) as refusal:
        await open_store(url)

    assert "postgresql://" in refusal.value.hint
    assert "Tr0ub4dor" not in str(refusal.value) + refusal.value.hint


async def test_no_url_at_all_is_refused():
    with pytest.raises(BadSetting) as refusal:
        await open_store("")

    assert "postgresql://user@host/database" in refusal.value.hint


async def test_a_server_of_another_role_is_refused(url):
    separator = "&" if "?" in url else "?"

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await open_store(f"{url}{separator}target_session_attrs=standby")


async def test_without_its_driver_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("likewise.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    with pytest.raises(BadSetting, match=r"PostgreSQL needs the extra likewise\[postgres\]") as refusal:
        await open_store("postgresql://ada@host/likewise")
    assert refusal.value.hint == "install it: pip install 'likewise[postgres]'"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (asyncpg.InvalidPasswordError("for ada"), "PostgreSQL refuses the user or password"),
        (asyncpg.InvalidAuthorizationSpecificationError("for ada"), "PostgreSQL refuses the user or password"),
        (asyncpg.InvalidCatalogNameError("ada"), "PostgreSQL has no such database"),
        (asyncpg.InsufficientPrivilegeError("ada"), "PostgreSQL does not allow this user to do that"),
        (asyncpg.TooManyConnectionsError("ada"), "PostgreSQL has no connection left"),
        (asyncpg.CannotConnectNowError("ada"), "PostgreSQL is starting or stopping"),
        (asyncpg.AdminShutdownError("ada"), "PostgreSQL is starting or stopping"),
        (asyncpg.CrashShutdownError("ada"), "PostgreSQL is starting or stopping"),
        (asyncpg.DiskFullError("ada"), "the disk with the database is full"),
        (asyncpg.ReadOnlySQLTransactionError("ada"), "the database is read-only"),
        (TimeoutError("ada"), "PostgreSQL did not answer in time"),
        (asyncpg.QueryCanceledError("ada"), "PostgreSQL did not answer in time"),
        (asyncpg.LockNotAvailableError("ada"), "PostgreSQL did not answer in time"),
        (asyncpg.ConnectionDoesNotExistError("ada"), "PostgreSQL closed the connection"),
        (asyncpg.UndefinedTableError("ada"), "PostgreSQL failed (UndefinedTableError)"),
        (asyncpg.InterfaceError("ada"), "PostgreSQL cannot be reached"),
        (asyncpg.InternalClientError("ada"), "PostgreSQL cannot be reached"),
        (ConnectionRefusedError("ada"), "PostgreSQL cannot be reached"),
    ],
)
def test_an_error_is_told_in_a_sentence_of_ours(error, text):
    told = opening.unavailable(error)

    assert isinstance(told, StoreUnavailable)
    assert str(told) == text
    assert told.hint
    assert "ada" not in told.hint


# A database that cannot write


async def test_a_full_disk_is_told_and_reads_go_on(url, store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await call_on(url, "INSERT", "RAISE EXCEPTION USING ERRCODE = 'disk_full';")

    with pytest.raises(StoreUnavailable, match="disk with the database is full") as refusal:
        await store.put(ada, song(1), LIKE, now=MONDAY)
    assert "make room" in refusal.value.hint
    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


async def test_a_read_only_database_is_told_and_reads_go_on(url, store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await execute(url, f"ALTER DATABASE {urlsplit(url).path.strip('/')} SET default_transaction_read_only = on")
    async with opened(url) as later:
        with pytest.raises(StoreUnavailable, match="read-only") as refusal:
            await later.put(ada, SONG, LIKE, now=MONDAY)
        ratings = await later.get(ada, [SONG])

    assert "primary" in refusal.value.hint
    assert ratings == [Rating(SONG, LIKE, MONDAY)]


# Deadlines


async def test_when_all_connections_are_taken_a_call_waits_a_second(store):
    held = [await store._pool.acquire() for _ in range(opening.POOL_CONNECTIONS_MAX)]
    refusal = await timed(store.listeners())
    for connection in held:
        await store._pool.release(connection)

    assert isinstance(refusal.outcome, StoreUnavailable)
    assert 0.9 < refusal.seconds < 1 + SLACK_SECONDS
    assert await store.listeners() == []


async def test_a_pool_has_ten_connections_at_most(wired, proxy):
    await asyncio.gather(*(wired.listeners() for _ in range(50)))

    assert proxy.connections <= 1 + opening.POOL_CONNECTIONS_MAX  # one has looked at the schema


async def test_a_statement_that_takes_too_long_is_given_up_and_ends_in_the_database_too(url, store):
    refusal = await timed(store._fetch("SELECT pg_sleep(60)"))

    assert isinstance(refusal.outcome, StoreUnavailable)
    assert str(refusal.outcome) == "PostgreSQL did not answer in time"
    assert 1.5 < refusal.seconds < patience.CALL_SECONDS_MAX + SLACK_SECONDS
    assert store._pool.get_size() <= 1
    await until(lambda: is_idle(url), 5)


async def is_idle(url: str) -> bool:
    return await busy(url) == 0


async def test_a_connection_that_was_given_up_is_not_used_again(url, store):
    [[before]] = await store._fetch("SELECT pg_backend_pid()")
    call = asyncio.ensure_future(store._fetch("SELECT pg_sleep(60)"))
    await until(lambda: are_busy(url, 1))
    call.cancel()
    await asyncio.wait([call])
    [[after]] = await store._fetch("SELECT pg_backend_pid()")

    assert after != before


async def test_a_locked_row_is_given_up(url, store, ada):
    async with locked(url, ada):
        refusal = await timed(store.put(ada, SONG, LIKE, now=MONDAY))

    assert isinstance(refusal.outcome, StoreUnavailable)
    assert refusal.seconds < patience.CALL_SECONDS_MAX + SLACK_SECONDS
    assert await store.get(ada, [SONG]) == []


async def test_removing_a_listener_may_take_longer_than_other_calls(url, store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await call_on(url, "DELETE", f"PERFORM pg_sleep({patience.CALL_SECONDS_MAX + 0.5}); RETURN OLD;")
    await store.remove_listener("ada")

    assert await execute(url, "SELECT FROM likewise.ratings") == []


async def test_whoever_gives_up_leaves_nothing_running(url, store, ada):
    async with locked(url, ada):
        calls = [
            asyncio.ensure_future(store.put(ada, SONG, LIKE, now=MONDAY)),
            asyncio.ensure_future(store._fetch("SELECT pg_sleep(60)")),
        ]
        await until(lambda: are_busy(url, 3))
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await until(lambda: are_busy(url, 1), 5)  # the one who holds the lock

    assert [call.cancelled() for call in calls] == [True, True]
    assert await store.get(ada, [SONG]) == []


async def are_busy(url: str, count: int) -> bool:
    return await busy(url) == count


async def test_a_read_that_nobody_waits_for_any_more_is_not_made(wired, proxy):
    ada = await wired.add_listener("ada", "us")
    await wired.get(ada, [SONG])
    proxy.forget()
    proxy.stall()
    first = asyncio.ensure_future(wired.get(ada, [SONG]))
    await until(lambda: has_asked(proxy))
    waiting = [asyncio.ensure_future(wired.get(ada, [SONG])) for _ in range(3)]
    await asyncio.sleep(0)
    for call in waiting:
        call.cancel()
    proxy.resume()
    await first
    await wired._reads.finish()

    assert (proxy.trips, proxy.executed) == (1, 1)


async def has_asked(proxy: Proxy) -> bool:
    return proxy.messages > 0


# A connection that hangs


@pytest.mark.parametrize("kind", ["read", "write", "other"])
async def test_on_a_wire_that_hangs_everybody_is_told_within_the_deadline(wired, proxy, kind):
    ada = await wired.add_listener("ada", "us")
    await wired.put(ada, SONG, LIKE, now=MONDAY)
    calls: dict[str, Callable[[int], Awaitable[Any]]] = {
        "read": lambda number: wired.get(ada, [song(number)]),
        "write": lambda number: wired.put(ada, song(number), LIKE, now=TUESDAY),
        "other": lambda _: wired.listener("ada"),
    }
    proxy.stall()
    running = []
    for number in range(8):
        running.append(asyncio.ensure_future(timed(calls[kind](number))))
        await asyncio.sleep(0.2)
    outcomes = await asyncio.gather(*running)
    proxy.resume()

    assert {type(each.outcome) for each in outcomes} == {StoreUnavailable}
    assert all(each.seconds < patience.CALL_SECONDS_MAX + SLACK_SECONDS for each in outcomes)
    assert await wired.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


async def test_opening_on_a_wire_that_hangs_is_given_up(url, monkeypatch):
    monkeypatch.setattr(opening, "CONNECT_SECONDS_MAX", 0.5)
    async with proxied(url) as proxy:
        proxy.stall()
        refusal = await timed(open_store(proxy.url))
        proxy.resume()

    assert isinstance(refusal.outcome, StoreUnavailable)
    assert refusal.seconds < 0.5 + SLACK_SECONDS


async def test_closing_on_a_wire_that_hangs_takes_a_few_seconds_at_most(proxy, monkeypatch):
    monkeypatch.setattr(trips, "CLOSE_SECONDS_MAX", 0.5)
    store = await open_store(proxy.url)
    ada = await store.add_listener("ada", "us")
    proxy.stall()
    calls = [asyncio.ensure_future(timed(store.put(ada, song(number), LIKE, now=MONDAY))) for number in range(3)]
    await asyncio.sleep(0)
    closing = await timed(store.close())
    again = await timed(store.close())
    outcomes = await asyncio.gather(*calls)

    assert closing.seconds < 0.5 + SLACK_SECONDS
    assert again.seconds < 0.1
    assert {type(each.outcome) for each in outcomes} == {StoreUnavailable}
    assert all(each.seconds < patience.CALL_SECONDS_MAX + SLACK_SECONDS for each in outcomes)


async def test_closing_finishes_what_was_begun(url):
    async with opened(url) as store:
        ada = await store.add_listener("ada", "us")
        calls = [asyncio.ensure_future(store.put(ada, song(number), LIKE, now=MONDAY)) for number in range(3)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*calls)
    async with opened(url) as store:
        ratings = await store.get(ada, [song(number) for number in range(3)])

    assert len(ratings) == 3


async def test_a_closed_store_says_that_it_is_unavailable(url):
    async with opened(url) as store:
        pass

    with pytest.raises(StoreUnavailable):
        await store.listeners()


async def test_too_many_waiting_reads_are_refused(store, ada):
    calls = [asyncio.ensure_future(store.get(ada, [SONG])) for _ in range(batching.WAITING_MAX + 1)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert outcomes.count([]) == batching.WAITING_MAX
    assert isinstance(outcomes[-1], StoreUnavailable)


async def test_a_session_that_the_server_ends_is_replaced(url, store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await execute(
        url,
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """,
    )
    # The one that finds out may be told; the next is not.
    await timed(store.get(ada, [SONG]))

    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]
