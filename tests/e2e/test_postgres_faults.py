"""PostgreSQL goes away under load and comes back: nobody hangs, nothing acknowledged is lost, nobody has to restart us.

The server is one of the tests' own, which they may stop, and the application stays open throughout.
"""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from likewise.domain import Time
from likewise.errors import StoreUnavailable
from likewise.stores import open_store
from likewise.stores.postgres.opening import CALL_SECONDS_MAX
from tests.contract.postgres_server import StoppableServer, execute, open_house, stoppable_server
from tests.house import LIKE_BODY, MONDAY, Clock, House, error_of

SLACK_SECONDS = 1.5
"""What a slow machine may add to a deadline."""
RECOVERY_SECONDS_MAX = 10
PATIENCE_SECONDS = 30


class RunningClock(Clock):
    """Time passes, so that what was believed of the tokens is asked for again."""

    def __init__(self) -> None:
        super().__init__(MONDAY)
        self._begun = time.monotonic()

    def __call__(self) -> Time:
        return self.time + int((time.monotonic() - self._begun) * 1_000)


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


class Load:
    """Writers, each of whom rates one new song after another, and readers of what was rated."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._is_over = False
        self._asked = 0
        self.acknowledged: set[str] = set()
        self.statuses: list[int] = []
        self.seconds_longest = 0.0

    async def ask(self, method: str, id: str) -> int:
        begun = time.monotonic()
        body = LIKE_BODY if method == "PUT" else None
        response = await self._client.request(method, f"/v1/me/ratings/songs/{id}", content=body)
        self.seconds_longest = max(self.seconds_longest, time.monotonic() - begun)
        self.statuses.append(response.status_code)
        if response.status_code == 503:
            assert error_of(response)["code"] == "50300"
            assert int(response.headers["retry-after"]) > 0
        return response.status_code

    async def write(self) -> None:
        while not self._is_over:
            self._asked += 1
            id = str(self._asked)
            if await self.ask("PUT", id) == 200:
                self.acknowledged.add(id)
            await asyncio.sleep(0.005)

    async def read(self) -> None:
        while not self._is_over:
            id = str(max(1, self._asked - 20))
            was_acknowledged = id in self.acknowledged
            status = await self.ask("GET", id)
            assert not (was_acknowledged and status == 404)
            await asyncio.sleep(0.005)

    async def answers(self, status: int, count: int = 1, seconds_max: float = PATIENCE_SECONDS) -> None:
        """Wait until that many more requests have been answered so."""
        wanted = self.statuses.count(status) + count
        deadline = time.monotonic() + seconds_max
        while self.statuses.count(status) < wanted:
            assert time.monotonic() < deadline, f"{status} stopped coming"
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(self.write())
                tasks.create_task(self.read())
            await self.answers(200, 50)
            try:
                yield
            finally:
                self._is_over = True


@pytest.fixture
async def load(open_application: House) -> AsyncIterator[Load]:
    async with open_application.client(open_application.ada_token) as client:
        yield Load(client)


async def kept(url: str) -> set[str]:
    return {row["id"] for row in await execute(url, "SELECT id FROM likewise.ratings WHERE value = 1")}


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
