"""What SQLite alone promises: its file and its log, whose database it opens, and what it says when it cannot write."""

import asyncio
import os
import re
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import apsw
import pytest

from likewise.domain import Change, Changed, Clue, DeveloperKey, Item, Kind, Listener, Rating, RatingsPage, Value
from likewise.errors import AlreadyExists, BadSetting, StoreError, StoreUnavailable, StoreUnusable
from likewise.records import RatingRecord
from likewise.stores import migrate, open_store, turns
from likewise.stores.sqlite import SQLiteStore, names, opening, scans, writes
from tests.house import MONDAY, TEAM_ID, TUESDAY

LIKE = Value.LIKE
SONG = Item(Kind.SONG, "907242702")
OTHER_SONG = Item(Kind.SONG, "907242703")
APPLICATION_ID = int.from_bytes(b"Like")
PAGE_BYTES = 4_096
SCHEMA = len(opening.migrations())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "likewise.db"


@pytest.fixture
async def open_here(path):
    """Open stores on one file; all are closed at last."""
    stores = []

    async def open_once_more() -> SQLiteStore:
        store = await open_store(f"sqlite:///{path}")
        assert isinstance(store, SQLiteStore)
        stores.append(store)
        return store

    yield open_once_more
    for store in stores:
        await store.close()


@pytest.fixture
async def store(open_here):
    return await open_here()


@pytest.fixture
async def ada(store):
    return await store.add_listener("ada", "us")


@pytest.fixture
def impatient(monkeypatch):
    """Do not wait for locks; to be asked for before the store."""
    monkeypatch.setattr(opening, "BUSY_MILLISECONDS", 1)


def song(number: int) -> Item:
    return Item(Kind.SONG, str(number))


def large_key(number: int, *, pages: int) -> DeveloperKey:
    """Make a key whose row takes about so many pages of the database."""
    return DeveloperKey(f"{number:010}", TEAM_ID, "A" * (PAGE_BYTES * pages), MONDAY)


def note_commits(store: SQLiteStore) -> list[str]:
    """Note from now on, for each commit of the store, the name of the thread that makes it."""
    threads: list[str] = []

    def note_thread() -> bool:
        threads.append(threading.current_thread().name)
        return False

    store._writer.set_commit_hook(note_thread)
    return threads


def ask(path: Path, sql: str) -> object:
    """Run SQL on the file past the store."""
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(sql).get
    finally:
        connection.close()


def schema(path: Path) -> object:
    return ask(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY name")


# URLs


async def test_a_url_with_three_slashes_is_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    await (await open_store("sqlite:///likes.db")).close()

    assert (tmp_path / "likes.db").is_file()


async def test_a_url_with_four_slashes_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir("/")

    await (await open_store(f"sqlite:///{tmp_path}/likes.db")).close()

    assert (tmp_path / "likes.db").is_file()


async def test_a_memory_database_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite:///:memory:", create=False)
    ada = await store.add_listener("ada", "us")
    await store.put(ada, SONG, LIKE, now=MONDAY)
    ratings = await store.get(ada, [SONG])
    await store.close()

    assert ratings == [Rating(SONG, LIKE, MONDAY)]
    assert list(tmp_path.iterdir()) == []


async def test_two_memory_databases_have_nothing_in_common():
    store, other = await open_store("sqlite:///:memory:"), await open_store("sqlite:///:memory:")
    await store.add_listener("ada", "us")
    listeners = await other.listeners()
    await store.close()
    await other.close()

    assert listeners == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "likewise.db",
        "/likewise.db",
        "sqlite:",
        "sqlite:likewise.db",
        "sqlite://likewise.db",
        "sqlite:///",
        "sqlite3:///likewise.db",
        "SQLITE:///likewise.db",
        "file:///likewise.db",
        "mysql://u:secret@h/d",
    ],
)
async def test_a_url_of_no_known_form_is_refused_and_not_repeated(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BadSetting) as refusal:
        await open_store(url)
    assert "sqlite:////absolute/path" in refusal.value.hint
    assert "secret" not in str(refusal.value) + refusal.value.hint
    assert list(tmp_path.iterdir()) == []


# The file


async def test_a_write_is_on_disk_when_it_is_acknowledged(store):
    assert store._writer.pragma("journal_mode") == "wal"
    assert store._writer.pragma("synchronous") == 2  # FULL
    assert store._writer.pragma("foreign_keys") == 1


@pytest.mark.usefixtures("ada")
async def test_only_its_owner_may_read_the_database_and_its_log(path):
    files = sorted(file.name for file in path.parent.iterdir())

    assert files == ["likewise.db", "likewise.db-shm", "likewise.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


async def test_a_file_that_is_there_keeps_its_mode(path):
    path.touch()
    path.chmod(0o640)

    await (await open_store(f"sqlite:///{path}")).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_a_closed_database_is_one_file(store, ada, path):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.close()

    assert [file.name for file in path.parent.iterdir()] == ["likewise.db"]
    assert ask(path, "SELECT value FROM ratings") == 1


@pytest.mark.usefixtures("store")
async def test_a_new_database_is_marked_as_ours_with_its_schemas_number(path):
    assert ask(path, "PRAGMA application_id") == APPLICATION_ID
    assert ask(path, "PRAGMA user_version") == SCHEMA


@pytest.mark.usefixtures("ada")
async def test_opening_again_changes_nothing(store, path):
    await store.close()
    before = path.read_bytes()
    await (await open_store(f"sqlite:///{path}")).close()

    assert path.read_bytes() == before


async def test_an_empty_file_becomes_a_database(path):
    path.touch()

    await (await open_store(f"sqlite:///{path}", create=False)).close()

    assert ask(path, "PRAGMA application_id") == APPLICATION_ID


# Long reads


async def test_what_reads_all_that_a_listener_has_leaves_the_loop_alone_and_point_reads_stay_on_it(store, ada):
    threads: list[str] = []

    def note(_cursor, sql, _bindings):
        if "SELECT" in sql:
            threads.append(threading.current_thread().name)
        return True

    store._scanner._connection.exec_trace = note
    store._reader.exec_trace = note
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.changes(ada, after=1, limit=9)
    await store.names(ada, [SONG])
    inline, threads[:] = threads.copy(), []
    await store.newest_ratings(ada, after=None, limit=9)
    await store.library_page(ada, Kind.LIBRARY_SONG, limit=9, offset=0)
    await store.forget(ada, before=TUESDAY, limit=9)

    assert set(inline) == {"MainThread"}
    assert {name.partition("_")[0] for name in threads} == {"likewise-reader"}


async def test_others_have_their_turn_while_a_page_is_looked_for_among_what_was_cleared(store, ada):
    songs = [Item(Kind.SONG, str(1000 + number)) for number in range(100)]
    await store.write(ada, [Change(song, LIKE) for song in songs], now=MONDAY)
    await store.write(ada, [Change(song, None) for song in songs[:-1]], now=TUESDAY)
    turns = 0

    async def take_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    page = await store.ratings(ada, after=None, limit=10)
    others.cancel()

    assert [rating.item for rating in page] == songs[-1:]
    assert turns >= 9


async def test_more_lists_than_may_wait_are_refused(store, ada, monkeypatch):
    monkeypatch.setattr(turns, "ASKED_MAX", 3)

    outcomes = await asyncio.gather(
        *(store.newest_ratings(ada, after=None, limit=9) for _ in range(5)), return_exceptions=True
    )

    assert [isinstance(outcome, StoreUnavailable) for outcome in outcomes] == [False] * 3 + [True] * 2
    assert (await store.newest_ratings(ada, after=None, limit=9)).total == 0


async def test_nobody_waits_for_all_that_another_asks_for(store, ada):
    ben = await store.add_listener("ben", "us")
    done = []

    async def read(listener):
        await store.newest_ratings(listener, after=None, limit=9)
        done.append(listener.name)

    await asyncio.gather(*map(read, [ada] * 10), read(ben))

    assert done.index("ben") <= 1
    assert done.count("ada") == 10


async def test_one_listener_alone_cannot_keep_others_from_their_lists(store, ada, monkeypatch):
    monkeypatch.setattr(turns, "ASKED_EACH_MAX", 3)
    ben = await store.add_listener("ben", "us")

    outcomes = await asyncio.gather(
        *(store.newest_ratings(listener, after=None, limit=9) for listener in [ada] * 5 + [ben]), return_exceptions=True
    )

    assert [isinstance(outcome, StoreUnavailable) for outcome in outcomes] == [False] * 3 + [True] * 2 + [False]
    assert (await store.newest_ratings(ada, after=None, limit=9)).total == 0


async def test_a_list_that_waits_while_the_store_is_closed_is_refused_or_finished(store, ada):
    reads = [asyncio.ensure_future(store.newest_ratings(ada, after=None, limit=9)) for _ in range(5)]
    await asyncio.sleep(0)
    await store.close()

    outcomes = await asyncio.gather(*reads, return_exceptions=True)

    assert isinstance(outcomes[0], RatingsPage)
    assert isinstance(outcomes[-1], StoreUnavailable)


async def test_a_list_that_cannot_be_read_is_said_to_be_unavailable(store, ada):
    for connection in (store._scanner._connection, store._reader):
        connection.execute("SELECT 1")
        connection.set_authorizer(lambda *_: apsw.SQLITE_DENY)

    for read in (
        store.newest_ratings(ada, after=None, limit=9),
        store.changes(ada, after=0, limit=9),
        store.names(ada, [SONG]),
        store.named(ada, Clue.ISRC, ["USUG12002836"], limit=2),
    ):
        with pytest.raises(StoreUnavailable, match="the database failed"):
            await read
    store._scanner._connection.set_authorizer(None)
    store._reader.set_authorizer(None)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("clue", Clue)
def test_each_clue_is_looked_up_in_an_index(path, clue):
    connection = apsw.Connection(str(path))
    [plan] = connection.execute(f"EXPLAIN QUERY PLAN {names._NAMED[clue]}", (0, "x", 2)).fetchall()
    connection.close()

    assert f"USING INDEX item_names_by_{clue.value}" in str(plan)


@pytest.mark.usefixtures("store")
def test_library_ids_of_a_list_are_looked_up_in_an_index(path):
    connection = apsw.Connection(str(path))
    names = ("listener", "value", "kinds", "time", "after_kind", "after_id", "limit")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {scans._NEWEST}", dict.fromkeys(names, 1)).fetchall()
    connection.close()

    assert any("library_by_twin (listener=? AND kind=? AND twin=?)" in str(row) for row in plan)
    assert any("SEARCH ratings USING PRIMARY KEY (listener=?)" in str(row) for row in plan)


# Migrations


async def test_what_has_been_asked_before_is_not_planned_again_for_other_ids(store, ada):
    planned = []

    def note(operation, *_):
        planned.append(operation)
        return apsw.SQLITE_OK

    async def ask(*ids):
        await store.get(ada, [Item(Kind.SONG, id) for id in ids])
        await store.get(ada, [Item(Kind.LIBRARY_SONG, f"i.{id}") for id in ids])
        await store.library_items(ada, [Item(Kind.LIBRARY_SONG, f"i.{id}") for id in ids])
        await store.names(ada, [Item(Kind.SONG, id) for id in ids])
        await asyncio.sleep(0)  # the turn ends, and the next reads begin another

    store._reader.set_authorizer(note)  # SQLite asks it while it plans
    await ask("1", "2")
    assert planned
    planned.clear()
    await ask("3", "4", "5")
    store._reader.set_authorizer(None)

    assert planned == []


async def test_an_older_schema_is_brought_up_to_date_and_keeps_what_it_has(store, ada, path, monkeypatch):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.close()
    known = opening.migrations()
    monkeypatch.setattr(
        opening, "migrations", lambda: [*known, "CREATE TABLE later (id); INSERT INTO later VALUES (7)"]
    )
    for _ in range(2):
        store = await open_store(f"sqlite:///{path}", create=False)
        ratings = await store.get(ada, [SONG])
        await store.close()

    assert ratings == [Rating(SONG, LIKE, MONDAY)]
    assert ask(path, "PRAGMA user_version") == SCHEMA + 1
    assert ask(path, "SELECT count(*) FROM later") == 1


async def test_a_database_of_the_first_schema_keeps_its_ratings_and_can_be_followed(path):
    connection = opening.connect(str(path), create=True)
    connection.execute(opening.migrations()[0])
    connection.execute("INSERT INTO listeners (name, storefront, changes) VALUES ('ada', 'us', 7), ('ben', 'jp', 0)")
    connection.execute("INSERT INTO ratings VALUES (1, 1, '907242702', 1, ?, 7)", (MONDAY,))
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    connection.close()

    store = await open_store(f"sqlite:///{path}", create=False)
    listeners = await store.listeners()
    pages = [await store.changes(listener, after=0, limit=9) for listener in listeners]
    await store.close()

    assert pages[0].changes == [Changed(SONG, LIKE, MONDAY, 7)]
    assert [page.history[:2] for page in pages] == [(7, 0), (0, 0)]
    assert pages[0].history.era != pages[1].history.era


async def test_a_migration_that_fails_leaves_the_database_as_it_was(store, path, monkeypatch):
    await store.close()
    before = schema(path)
    known = opening.migrations()
    monkeypatch.setattr(opening, "migrations", lambda: [*known, "CREATE TABLE later (id); SELECT * FROM nowhere"])

    with pytest.raises(StoreError, match="nowhere"):
        await open_store(f"sqlite:///{path}")
    assert schema(path) == before
    assert ask(path, "PRAGMA user_version") == SCHEMA


async def test_a_newer_schema_is_refused_and_left_alone(store, path):
    await store.close()
    ask(path, f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()

    with pytest.raises(
        StoreUnusable, match=rf"newer Likewise \(schema {SCHEMA + 1}, this one knows {SCHEMA}\)"
    ) as refusal:
        await open_store(f"sqlite:///{path}")
    assert refusal.value.hint == "upgrade this Likewise"
    assert path.read_bytes() == before


_OPEN_AND_RATE = """
import asyncio, sys
from likewise.stores import open_store

async def main():
    store = await open_store(sys.argv[1])
    await store.add_listener(sys.argv[2], "us")
    await store.close()

asyncio.run(main())
"""


async def test_ten_openings_of_a_new_database_at_once_all_succeed(path):
    stores = await asyncio.gather(*(open_store(f"sqlite:///{path}") for _ in range(10)))
    await asyncio.gather(*(store.add_listener(f"l{number}", "us") for number, store in enumerate(stores)))
    listeners = await stores[0].listeners()
    await asyncio.gather(*(store.close() for store in stores))

    assert [listener.name for listener in listeners] == [f"l{number}" for number in range(10)]


async def test_processes_that_open_a_new_database_at_once_all_succeed(path, open_here):
    commands = [[sys.executable, "-c", _OPEN_AND_RATE, f"sqlite:///{path}", f"l{number}"] for number in range(6)]

    done = await asyncio.gather(
        *(asyncio.to_thread(subprocess.run, command, capture_output=True, check=False) for command in commands)
    )

    assert [(process.returncode, process.stderr) for process in done] == [(0, b"")] * 6
    assert len(await (await open_here()).listeners()) == 6


@pytest.mark.parametrize(
    "moment", ["application_id", "user_version", "sqlite_schema", "journal_mode", "BEGIN IMMEDIATE"]
)
def test_a_database_that_another_program_begins_while_we_look_at_it_is_ours(path, moment):
    connection = opening.connect(str(path), create=True)
    others: list[apsw.Connection] = []

    def begin_first(_cursor, sql, _bindings):
        if moment in sql and not others:
            others.append(opening.connect(str(path)))
            opening.prepare(others[0], str(path))
        return True

    connection.exec_trace = begin_first
    opening.prepare(connection, str(path))

    assert len(others) == 1
    assert connection.execute("SELECT count(*) FROM listeners").get == 0
    assert connection.pragma("user_version") == SCHEMA


# What is no database of ours


async def test_a_missing_file_is_refused_where_none_is_to_be_created(path):
    with pytest.raises(StoreUnusable, match=f"there is no database {path}") as refusal:
        await open_store(f"sqlite:///{path}", create=False)

    assert refusal.value.hint == "is the path right? `likewise listener add` or `likewise key add` begins one"
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE songs (id)",
        "PRAGMA application_id = 252006674",
        "CREATE TABLE songs (id); PRAGMA application_id = 252006674",
        "CREATE TABLE songs (id); PRAGMA user_version = 1",
    ],
)
async def test_a_database_of_another_program_is_refused_and_left_alone(path, sql):
    ask(path, sql)
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match=f"{path} is a database of another program"):
        await open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"likes", b"Item Description,Preference\n" * 1_000], ids=["short", "long"])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path, content):
    path.write_bytes(content)

    with pytest.raises(StoreUnusable, match=f"{path} is no SQLite database"):
        await open_store(f"sqlite:///{path}")
    assert path.read_bytes() == content


@pytest.mark.parametrize("create", [True, False])
async def test_a_folder_is_refused(tmp_path, create):
    with pytest.raises(StoreError, match=str(tmp_path)):
        await open_store(f"sqlite:///{tmp_path}", create=create)


async def test_a_file_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(StoreUnavailable, match="cannot be created") as refusal:
        await open_store(f"sqlite:///{tmp_path}/nowhere/likewise.db")

    assert "folder exists" in refusal.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("create", "error"), [(True, StoreUnavailable), (False, StoreUnusable)])
async def test_a_file_in_a_folder_that_is_a_file_is_refused(tmp_path, create, error):
    (tmp_path / "folder").touch()

    with pytest.raises(error, match=r"folder/likewise\.db"):
        await open_store(f"sqlite:///{tmp_path}/folder/likewise.db", create=create)


@pytest.mark.parametrize("create", [True, False])
async def test_a_name_that_no_file_can_have_is_refused(tmp_path, create):
    with pytest.raises(StoreError):
        await open_store(f"sqlite:///{tmp_path}/{'x' * 256}", create=create)


async def test_a_database_whose_pages_are_spoiled_is_refused(store, path):
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(4_000) + content[4_100:])

    with pytest.raises(StoreUnavailable, match="damaged") as refusal:
        await open_store(f"sqlite:///{path}")
    assert "backup" in refusal.value.hint


async def test_reading_a_spoiled_page_is_refused_and_the_rest_is_read(store, ada, path):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.close()
    root = ask(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'ratings'")
    assert isinstance(root, int)
    content = bytearray(path.read_bytes())
    content[(root - 1) * PAGE_BYTES : root * PAGE_BYTES] = b"\xff" * PAGE_BYTES
    path.write_bytes(content)
    store = await open_store(f"sqlite:///{path}")

    with pytest.raises(StoreUnavailable, match="damaged"):
        await store.get(ada, [SONG])
    with pytest.raises(StoreUnavailable, match="damaged"):
        await store.put(ada, SONG, LIKE, now=TUESDAY)
    assert await store.listeners() == [ada]
    await store.close()


# A database that cannot be written


@pytest.mark.usefixtures("impatient")
async def test_while_another_program_holds_the_lock_all_writes_fail_and_reads_go_on(store, ada, path):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(
        *(store.put(ada, song(number), LIKE, now=TUESDAY) for number in range(20)), return_exceptions=True
    )
    read_meanwhile = await store.get(ada, [SONG])
    other.execute("ROLLBACK")
    other.close()
    after_failure = await store.get(ada, [song(number) for number in range(20)])
    await store.put(ada, OTHER_SONG, LIKE, now=TUESDAY)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 20
    assert "locked by another program" in str(outcomes[0])
    assert read_meanwhile == [Rating(SONG, LIKE, MONDAY)]
    assert after_failure == []
    assert await store.get(ada, [OTHER_SONG]) == [Rating(OTHER_SONG, LIKE, TUESDAY)]


async def test_a_write_waits_for_a_lock_that_is_given_back(store, ada, path):
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note_beginning(*_statement):
        loop.call_soon_threadsafe(begun.set)
        return True

    store._writer.exec_trace = note_beginning
    put = asyncio.ensure_future(store.put(ada, SONG, LIKE, now=MONDAY))
    await begun.wait()
    other.execute("COMMIT")
    other.close()
    await put

    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_new", [True, False])
async def test_a_database_that_is_locked_cannot_be_opened(path, is_new):
    if not is_new:
        await (await open_store(f"sqlite:///{path}")).close()
    other = apsw.Connection(str(path))
    other.pragma("locking_mode", "exclusive")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="locked by another program"):
        await open_store(f"sqlite:///{path}")
    other.execute("COMMIT")
    other.close()
    await (await open_store(f"sqlite:///{path}")).close()


@pytest.mark.usefixtures("impatient")
def test_switching_to_the_log_waits_for_a_lock_and_gives_up_in_time(path):
    connection = opening.connect(str(path), create=True)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE; CREATE TABLE songs (id)")

    with pytest.raises(StoreUnavailable, match="locked by another program"):
        opening.prepare(connection, str(path))
    other.execute("ROLLBACK")
    opening.prepare(connection, str(path))
    assert connection.pragma("journal_mode") == "wal"


async def test_on_a_full_disk_nothing_is_lost_and_writing_goes_on_when_there_is_room(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    pages_now = store._writer.pragma("page_count")
    store._writer.pragma("max_page_count", pages_now)

    outcomes = await asyncio.gather(
        store.put(ada, OTHER_SONG, LIKE, now=MONDAY),
        store.add_developer_key(large_key(1, pages=10)),
        return_exceptions=True,
    )
    with pytest.raises(StoreUnavailable, match="the disk with the database is full"):
        await store.write(
            ada, [Change(SONG, None), *(Change(song(number), LIKE) for number in range(10_000))], now=TUESDAY
        )
    kept = await store.get(ada, [SONG, song(0)])
    store._writer.pragma("max_page_count", pages_now + 100)
    await store.add_developer_key(large_key(1, pages=10))

    assert isinstance(outcomes[1], StoreUnavailable)
    assert kept == [Rating(SONG, LIKE, MONDAY)]
    assert await store.developer_keys() == [large_key(1, pages=10)]
    rated = await store.get(ada, [OTHER_SONG])
    assert bool(rated) == (outcomes[0] is None)


async def test_a_database_that_became_read_only_says_so(store, ada):
    store._writer.pragma("query_only", 1)
    with pytest.raises(StoreUnavailable, match="cannot be written") as refusal:
        await store.put(ada, SONG, LIKE, now=MONDAY)
    store._writer.pragma("query_only", 0)
    await store.put(ada, SONG, LIKE, now=TUESDAY)

    assert "permissions" in refusal.value.hint
    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, TUESDAY)]


async def test_a_database_that_may_only_be_read_is_not_opened(path):
    await (await open_store(f"sqlite:///{path}")).close()
    connection = apsw.Connection(
        str(path), flags=apsw.SQLITE_OPEN_READONLY
    )  # as SQLite opens it where it may not write

    with pytest.raises(StoreUnavailable, match=f"the database {path} cannot be written") as refusal:
        opening.prepare(connection, str(path))
    connection.close()
    assert "permissions" in refusal.value.hint


@pytest.fixture
def only_readable(monkeypatch):
    """Take the right to write, which tests that run as root have everywhere."""
    monkeypatch.setattr(opening, "may_write", lambda _path: False)


@pytest.mark.usefixtures("only_readable")
async def test_a_database_that_may_only_be_read_is_opened_to_read_and_nothing_is_left_beside_it(path, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(opening, "may_write", lambda _path: True)
        store = await open_store(f"sqlite:///{path}")
        ada = await store.add_listener("ada", "us")
        await store.put(ada, SONG, LIKE, now=MONDAY)
        await store.close()

    store = await open_store(f"sqlite:///{path}", create=False, to_read=True)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await store.put(ada, SONG, LIKE, now=TUESDAY)
    async with store.snapshot() as snapshot:
        assert (await snapshot.counts())[RatingRecord] == 1
    assert [finding async for finding in store.check()] == []
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    await store.close()

    with pytest.raises(StoreUnavailable, match=f"the database {path} cannot be written"):
        await open_store(f"sqlite:///{path}")
    assert (await migrate(f"sqlite:///{path}", dry_run=True)).before == len(opening.migrations())


async def test_what_a_server_has_not_copied_from_its_log_is_read_too(store, ada, path, monkeypatch):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    monkeypatch.setattr(opening, "may_write", lambda _path: False)

    reading = await open_store(f"sqlite:///{path}", to_read=True)
    assert await reading.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]
    await reading.close()


@pytest.mark.usefixtures("only_readable")
@pytest.mark.parametrize("version", [0, 1])
async def test_a_database_that_is_not_up_to_date_and_may_only_be_read_is_refused(path, version):
    connection = apsw.Connection(str(path))
    if version:
        connection.execute(opening.migrations()[0])
        connection.pragma("application_id", opening._APPLICATION_ID)
        connection.pragma("user_version", version)
    connection.close()
    path.touch()

    with pytest.raises(StoreUnusable, match="may only be read, and has an older schema or none") as refusal:
        await open_store(f"sqlite:///{path}", to_read=True)
    assert "likewise migrate" in refusal.value.hint


def test_whether_one_may_write_is_asked_of_the_file_and_its_folder(path, tmp_path, monkeypatch):
    def allow_all_but(refused):
        monkeypatch.setattr("os.access", lambda place, mode: mode == os.W_OK and Path(place) != refused)
        return opening.may_write(str(path))

    assert [allow_all_but(each) for each in (None, path, tmp_path)] == [True, False, False]


async def test_a_failure_that_has_no_words_of_ours_is_told_in_sqlites(store, ada, path):
    ask(path, "ALTER TABLE ratings RENAME TO removed")

    with pytest.raises(StoreUnavailable, match=r"the database failed \(.*no such table: ratings\)"):
        await store.get(ada, [SONG])
    with pytest.raises(StoreUnavailable, match="no such table"):
        await store.put(ada, SONG, LIKE, now=MONDAY)


# Jobs that share a transaction


async def test_a_refused_job_does_not_fail_those_that_share_its_transaction(store, ada):
    commits = note_commits(store)

    outcomes = await asyncio.gather(
        store.put(ada, SONG, LIKE, now=MONDAY),
        store.add_listener("ada", "us"),
        store.put(ada, OTHER_SONG, LIKE, now=MONDAY),
        return_exceptions=True,
    )

    assert (outcomes[0], outcomes[2]) == (None, None)
    assert isinstance(outcomes[1], AlreadyExists)
    assert await store.get(ada, [SONG, OTHER_SONG]) == [Rating(SONG, LIKE, MONDAY), Rating(OTHER_SONG, LIKE, MONDAY)]
    assert commits == ["likewise-writer_0"] * 2


async def test_a_row_that_is_too_big_does_not_fail_those_that_share_its_transaction(store, ada):
    store._writer.limit(apsw.SQLITE_LIMIT_LENGTH, 100_000)

    outcomes = await asyncio.gather(
        store.put(ada, SONG, LIKE, now=MONDAY),
        store.add_developer_key(large_key(1, pages=100)),
        return_exceptions=True,
    )

    assert outcomes[0] is None
    assert isinstance(outcomes[1], StoreUnavailable)
    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


async def test_many_writes_share_one_commit_on_the_writers_thread(store, ada):
    commits = note_commits(store)

    await asyncio.gather(*(store.put(ada, song(number), LIKE, now=MONDAY) for number in range(500)))

    assert commits == ["likewise-writer_0"]


# The log


async def test_a_long_log_is_copied_back_while_the_database_is_open_and_off_the_loop(store, ada, path):
    threads = []
    checkpoint = store._checkpoint

    def noted_checkpoint():
        threads.append(threading.current_thread().name)
        checkpoint()

    store._checkpoint = noted_checkpoint
    bytes_before = path.stat().st_size
    await store.add_developer_key(large_key(1, pages=1_001))
    await store.put(ada, SONG, LIKE, now=MONDAY)  # behind the checkpoint

    assert path.stat().st_size > bytes_before + 1_000 * PAGE_BYTES
    assert threads == ["likewise-writer_0"]


async def test_a_short_log_is_left_alone(store, ada, path):
    bytes_before = path.stat().st_size
    await store.add_developer_key(large_key(1, pages=500))
    await store.put(ada, SONG, LIKE, now=MONDAY)

    assert path.stat().st_size == bytes_before


async def test_the_log_does_not_grow_for_ever(store, path):
    log = path.with_name("likewise.db-wal")
    sizes = []
    for number in range(5):
        await store.add_developer_key(large_key(number, pages=1_100))
        await store.add_listener(f"l{number}", "us")  # behind the checkpoint
        sizes.append(log.stat().st_size)

    assert max(sizes) < 2 * sizes[0]
    assert len(await store.developer_keys()) == 5


# Reading in one moment


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_read_of_several_kinds_never_sees_half_of_a_write(store, ada, turn):
    """Another connection commits between any two statements of the read; what is read is from before or from after."""
    album = Item(Kind.ALBUM, "1")
    writer = apsw.Connection(str(store._writer.db_filename("main")))
    statements = []

    def write_between(_cursor, sql, _bindings):
        if "ratings" in sql:
            statements.append(sql)
            if len(statements) == turn:
                writer.execute(
                    "INSERT INTO ratings VALUES (:ada, 1, '907242702', 1, 1, 1), (:ada, 2, '1', 1, 1, 2)",
                    {"ada": ada.id},
                )
        return True

    store._reader.exec_trace = write_between
    ratings = await store.get(ada, [SONG, album])
    store._reader.exec_trace = None
    writer.close()

    assert len(ratings) in {0, 2}


async def test_a_page_and_its_total_are_of_one_moment(store, ada):
    writer = apsw.Connection(str(store._writer.db_filename("main")))
    statements = []

    def write_between(_cursor, sql, _bindings):
        if "library" in sql:
            statements.append(sql)
            if len(statements) == 2:
                writer.execute("INSERT INTO library VALUES (?, 6, 'i.1', NULL, 1, 1, 0)", (ada.id,))
        return True

    store._reader.exec_trace = write_between
    page = await store.library_page(ada, Kind.LIBRARY_SONG, limit=10, offset=0)
    store._reader.exec_trace = None
    writer.close()

    assert len(page.items) == page.total


def commit_at_once(store: SQLiteStore, listener: Listener, item: Item) -> None:
    """Like an item without giving the event loop a turn, as another process would."""
    change = Change(item, LIKE)
    assert store._commit([partial(writes.write, listener=listener.id, changes=[change], now=MONDAY)]) == [[True]]


async def test_reads_of_one_turn_see_one_moment_and_those_of_the_next_see_what_was_written_meanwhile(
    store, open_here, ada
):
    elsewhere = await open_here()
    await store.put(ada, SONG, LIKE, now=MONDAY)

    before = await store.get(ada, [OTHER_SONG])  # begins the turn
    commit_at_once(elsewhere, ada, OTHER_SONG)
    in_the_same_turn = await store.get(ada, [OTHER_SONG])
    await asyncio.sleep(0)
    in_the_next = await store.get(ada, [OTHER_SONG])

    assert (before, in_the_same_turn) == ([], [])
    assert in_the_next == [Rating(OTHER_SONG, LIKE, MONDAY)]


async def test_whoever_was_queued_after_a_write_elsewhere_sees_it_whatever_was_read_before(store, open_here, ada):
    """As a request is that comes in after another worker acknowledged a write, while this worker is in a turn."""
    elsewhere = await open_here()
    loop = asyncio.get_running_loop()
    await store.get(ada, [SONG])  # begins a turn
    commit_at_once(elsewhere, ada, SONG)

    came_in = loop.create_task(store.get(ada, [SONG]))
    ratings_in_the_old_turn = await store.get(ada, [SONG])

    assert ratings_in_the_old_turn == []
    assert await came_in == [Rating(SONG, LIKE, MONDAY)]


async def test_a_turn_that_sqlite_has_ended_by_itself_harms_nobody(store, ada):
    await store.put(ada, SONG, LIKE, now=MONDAY)
    await store.get(ada, [SONG])
    store._reader.execute("ROLLBACK")

    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]
    await asyncio.sleep(0)
    assert await store.get(ada, [SONG]) == [Rating(SONG, LIKE, MONDAY)]


async def test_between_turns_no_read_keeps_the_log_from_beginning_anew(store, ada):
    await store.get(ada, [SONG])
    assert store._reader.in_transaction

    await asyncio.sleep(0)

    assert not store._reader.in_transaction


# What the disk does to us


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (apsw.IOError("the disk is full"), "the log could not be copied into the database: the disk is full"),
        (apsw.BusyError("database is locked"), ""),  # another process is at it
    ],
)
async def test_a_log_that_cannot_be_copied_is_told_and_harms_nobody(store, ada, monkeypatch, caplog, error, told):
    class Failing:
        def wal_checkpoint(self, **_options):
            raise error

    with monkeypatch.context() as disk:
        disk.setattr(store, "_writer", Failing())
        store._checkpoint()

    await store.put(ada, SONG, LIKE, now=MONDAY)
    assert told in caplog.text
    assert bool(told) == bool(caplog.records)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (apsw.IOError("disk I/O error"), "the disk with the database fails, or is full"),
        (apsw.CantOpenError("unable to open"), "the database cannot be written"),
        (apsw.SQLError("no such table"), r"the database failed \(no such table\)"),
    ],
)
def test_every_failure_comes_with_a_hint(error, text):
    unavailable = opening.unavailable(error)

    assert re.fullmatch(text, str(unavailable))
    assert unavailable.hint
