"""PostgreSQL goes away under load and comes back: nobody hangs, nothing acknowledged is lost, nobody has to restart us.

The server is one of the tests' own, which they may stop, and the application stays open throughout.
"""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from likewise.errors import StoreUnavailable
from likewise.stores import open_store
from likewise.stores.postgres.patience import CALL_SECONDS_MAX
from tests.contract.postgres_server import StoppableServer, execute, open_house, stoppable_server
from tests.e2e.postgres_load import RECOVERY_SECONDS_MAX, SLACK_SECONDS, Load, RunningClock, kept
from tests.house import House


@pytest.fixture
def server() -> StoppableServer:
    return stoppable_server()


@pytest.fixture
async def url(server: StoppableServer) -> str:
    name = f"likewise_{uuid.uuid4().hex}"
    await execute(server.url, f"CREATE DATABASE {name}")
    return server.url_of(name)


@pytest.fixture
async def open_application(url: str, private_key: bytes) -> AsyncIterator[House]:
    async with open_house(url, private_key, RunningClock()) as house:
        yield house


@pytest.fixture
async def load(open_application: House) -> AsyncIterator[Load]:
    async with open_application.client(open_application.ada_token) as client:
        yield Load(client)


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_server_that_is_stopped_and_started_under_load_loses_nothing(server, url, load, mode):
    async with load.running():
        await asyncio.to_thread(server.stop, mode)
        await load.answers(503, 50)
        await asyncio.to_thread(server.start)
        await load.answers(200, 50, RECOVERY_SECONDS_MAX)

    assert set(load.statuses) <= {200, 404, 503}
    assert load.seconds_longest < CALL_SECONDS_MAX + SLACK_SECONDS
    assert load.acknowledged <= await kept(url)


async def test_a_server_that_is_frozen_under_load_loses_nothing_and_nobody_hangs(server, url, load):
    async with load.running():
        with server.frozen():
            await load.answers(503, 40)
        await load.answers(200, 50, RECOVERY_SECONDS_MAX)

    assert set(load.statuses) <= {200, 404, 503}
    assert load.seconds_longest < CALL_SECONDS_MAX + SLACK_SECONDS
    assert load.acknowledged <= await kept(url)


async def test_a_server_that_pauses_for_less_than_the_deadline_is_waited_for(server, url, load):
    async with load.running():
        with server.frozen():
            await asyncio.sleep(0.3)  # the fault itself: shorter than any deadline
        await load.answers(200, 50, RECOVERY_SECONDS_MAX)

    assert set(load.statuses) <= {200, 404}
    assert load.acknowledged <= await kept(url)


async def test_one_connection_that_hangs_is_replaced(url, open_application, load):
    async with open_application.client(open_application.ada_token) as client:
        await client.get("/v1/me/ratings/songs/1")
    idle = await execute(
        url,
        """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        """,
    )
    for row in idle:
        os.kill(row["pid"], signal.SIGSTOP)
    try:
        first = await load.ask("GET", "1")
        async with load.running():
            pass
    finally:
        for row in idle:
            os.kill(row["pid"], signal.SIGCONT)

    assert first in {404, 503}
    assert load.seconds_longest < CALL_SECONDS_MAX + SLACK_SECONDS
    assert load.acknowledged <= await kept(url)


async def test_an_application_does_not_open_while_its_server_is_frozen(server, url, monkeypatch):
    monkeypatch.setattr("likewise.stores.postgres.opening.CONNECT_SECONDS_MAX", 0.5)
    with server.frozen(), pytest.raises(StoreUnavailable, match="did not answer in time"):
        await open_store(url)


async def test_closing_while_the_server_is_frozen_takes_a_few_seconds_at_most(server, url):
    store = await open_store(url)
    ada = await store.add_listener("ada", "us")
    with server.frozen():
        call = asyncio.ensure_future(store.listener(ada.name))
        await asyncio.sleep(0)
        begun = time.monotonic()
        await store.close()
        seconds = time.monotonic() - begun
        with pytest.raises(StoreUnavailable):
            await call

    assert seconds < 5 + SLACK_SECONDS


async def test_a_wrong_password_is_refused_and_not_repeated(server, url):
    rules = server.folder / "pg_hba.conf"
    rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
    await execute(url, "CREATE ROLE locked LOGIN PASSWORD 'right'")
    await execute(url, "SELECT pg_reload_conf()")

    with pytest.raises(StoreUnavailable, match="refuses the user or password") as refusal:
        await open_store(url.replace("postgres:@", "locked:Tr0ub4dor@"))
    assert "Tr0ub4dor" not in str(refusal.value) + refusal.value.hint
