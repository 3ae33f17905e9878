"""Snapshots, loading and checking when the database fails in the middle: one sentence, and nothing half done."""

import asyncio

import apsw
import asyncpg
import pytest

from likewise.domain import Change, Item, Kind, Value
from likewise.errors import BadFile, StoreUnavailable
from likewise.records import Counter, ListenerRecord, RatingRecord
from likewise.store import CopyMark
from likewise.stores import open_store
from likewise.stores.postgres import PostgresStore, keeping, opening
from likewise.stores.sqlite import SQLiteStore, files
from tests.contract.postgres_server import execute, postgres_server
from tests.house import MONDAY

RATINGS = 20_000


async def pages():
    yield [Counter(1), ListenerRecord(1, "ada", "us", RATINGS, 0, 1)]
    yield [RatingRecord(1, 1, f"{number:020}", 1, MONDAY, number + 1) for number in range(RATINGS)]


async def read_all(store):
    async with store.snapshot() as snapshot:
        return [page async for page in snapshot.records()]


# SQLite


@pytest.fixture
async def path(tmp_path):
    """A database file with many pages of ratings."""
    path = tmp_path / "likewise.db"
    store = await open_store(f"sqlite:///{path}")
    await store.load(pages())
    await store.close()
    return path


def overwrite(path, *, first, last):
    """Overwrite pages with nonsense; pages are counted from 1."""
    with path.open("r+b") as file:
        file.seek((first - 1) * 4096)
        file.write(b"\xff" * 4096 * (last - first + 1))


def root_of(path, table):
    connection = apsw.Connection(str(path))
    [[page]] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
    connection.close()
    return page


async def test_a_damaged_page_ends_a_reading_with_one_sentence(path):
    overwrite(path, first=path.stat().st_size // 4096 - 40, last=path.stat().st_size // 4096 - 20)
    store = await open_store(f"sqlite:///{path}")

    with pytest.raises(StoreUnavailable, match="the database is damaged"):
        await read_all(store)
    assert [finding async for finding in _checked(store)] != []
    await store.close()


async def _checked(store):
    async for finding in store.check():
        yield finding
        return


async def test_a_damaged_table_can_neither_be_counted_nor_held(path):
    overwrite(path, first=root_of(path, "ratings"), last=root_of(path, "ratings"))
    store = await open_store(f"sqlite:///{path}")
    async with store.snapshot() as snapshot:
        with pytest.raises(StoreUnavailable, match="the database is damaged"):
            await snapshot.counts()
    with pytest.raises(StoreUnavailable, match="the database is damaged"):
        [finding async for finding in store.check()]
    await store.close()

    overwrite(path, first=root_of(path, "listeners"), last=root_of(path, "listeners"))
    store = await open_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="the database is damaged"):
        await read_all(store)
    await store.close()


def has_no_room(_done, _total):
    raise apsw.FullError("database or disk is full")


def test_where_a_backup_finds_no_room_the_database_is_not_to_blame(path, tmp_path):
    with pytest.raises(BadFile, match=f"there is no room in {tmp_path}"):
        files.back_up(str(path), tmp_path / "backup.db", has_no_room)


def test_where_a_restore_finds_no_room_the_backup_is_not_to_blame(path, tmp_path):
    with pytest.raises(BadFile, match=f"there is no room in {tmp_path}") as refusal:
        files.take_out(path, tmp_path / "copy.db", has_no_room, name="a backup")
    assert "TMPDIR" in refusal.value.hint


async def test_another_programs_lock_stops_a_load_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("likewise.stores.sqlite.opening.BUSY_MILLISECONDS", 50)
    path = tmp_path / "likewise.db"
    store = await open_store(f"sqlite:///{path}")
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="locked by another program"):
        await store.load(pages())

    other.execute("ROLLBACK")
    other.close()
    await store.load(pages())
    await store.close()


async def test_whoever_leaves_a_check_in_the_middle_is_not_kept_waiting(path):
    store = await open_store(f"sqlite:///{path}")
    checking = asyncio.create_task(_all_findings(store))
    await asyncio.sleep(0)
    checking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await checking
    ada = await store.listener("ada")
    assert await store.write(ada, [Change(Item(Kind.SONG, "1"), Value.LIKE)], now=MONDAY) == [True]
    await store.close()


async def _all_findings(store):
    return [finding async for finding in store.check()]


async def test_a_file_that_became_something_else_has_no_moment(path, tmp_path):
    store = await open_store(f"sqlite:///{path}")
    assert isinstance(store, SQLiteStore)
    (tmp_path / "else").write_bytes(b"something else" * 99)
    store._path = str(tmp_path / "else")

    with pytest.raises(StoreUnavailable, match="the database failed"):
        await read_all(store)
    await store.close()


# PostgreSQL


@pytest.fixture
def url():
    return postgres_server().make_database()


async def end_all_connections(url):
    await execute(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


async def test_a_connection_that_ends_ends_a_snapshot_with_one_sentence(url):
    store = await open_store(url)
    await store.load(pages())
    for read in ("counts", "records"):
        with pytest.raises(StoreUnavailable, match="PostgreSQL"):  # noqa: PT012 - what fails is the reading
            async with store.snapshot() as snapshot:
                await end_all_connections(url)
                if read == "counts":
                    await snapshot.counts()
                else:
                    [page async for page in snapshot.records()]
    await store.close()


async def test_a_question_that_cannot_be_asked_ends_a_check_with_one_sentence(url):
    store = await open_store(url)
    await execute(url, "ALTER TABLE likewise.library DROP COLUMN twin")

    with pytest.raises(StoreUnavailable, match="PostgreSQL failed"):
        await _all_findings(store)
    await store.close()


async def test_a_connection_that_ends_leaves_nothing_of_a_load(url):
    store = await open_store(url)

    async def ended():
        yield [Counter(1), ListenerRecord(1, "ada", "us", 1, 0, 1)]
        await end_all_connections(url)
        yield [RatingRecord(1, 1, "1", 1, MONDAY, 1)]

    with pytest.raises(StoreUnavailable, match="PostgreSQL"):
        await store.load(ended())
    assert await store.listeners() == []
    await store.close()


async def test_a_table_that_somebody_holds_stops_a_load(url, monkeypatch):
    monkeypatch.setattr(keeping, "_OTHERS_LOCK_SECONDS", 1)
    store = await open_store(url)
    other = await asyncpg.connect(url)
    async with other.transaction():
        await other.execute("LOCK TABLE likewise.ratings IN ACCESS SHARE MODE")

        with pytest.raises(StoreUnavailable, match="in use by another program"):
            await store.load(pages())
    await other.close()
    await store.load(pages())
    await store.close()


async def test_a_server_that_cannot_be_reached_gives_no_moment(url):
    store = await open_store(url)
    assert isinstance(store, PostgresStore)
    store._url = "postgresql://127.0.0.1:1/nothing"

    for work in (read_all(store), store.load(pages()), _all_findings(store)):
        with pytest.raises(StoreUnavailable, match="PostgreSQL cannot be reached"):
            await work
    await store.close()


async def test_a_database_that_fails_is_not_claimed(url, monkeypatch):
    monkeypatch.setattr(opening, "_OTHERS", "SELECT nonsense")

    with pytest.raises(StoreUnavailable, match="PostgreSQL failed"):
        await open_store(url, alone=True)


async def test_a_server_without_connections_waits_outside_while_somebody_is_alone(url):
    server = await open_store(url)
    alone = await open_store(url, alone=True)

    with pytest.raises(StoreUnavailable, match="being restored, or copied to"):
        await server.listeners()

    await alone.close()
    assert await server.listeners() == []
    await server.close()


async def test_a_missing_table_is_told(url):
    store = await open_store(url)
    await execute(url, "DROP TABLE likewise.item_names")

    with pytest.raises(StoreUnavailable, match=r"PostgreSQL failed \(UndefinedTableError\)"):
        await read_all(store)
    await store.close()


async def test_a_claimed_database_can_be_amended_again_and_again(url):
    store = await open_store(url, alone=True)
    for number in range(1, 4):
        records = [ListenerRecord(number, f"listener-{number}", "us", 0, 0, 1)]
        await store.amend(remove=[], records=records, mark=CopyMark(is_whole=False))
    assert len(await store.listeners()) == 3
    await store.close()
