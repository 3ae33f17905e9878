"""What the tests of a faulty PostgreSQL share: load on the application, and a clock that runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from likewise.domain import Time
from tests.contract.postgres_server import execute
from tests.house import LIKE_BODY, MONDAY, Clock, error_of

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


async def kept(url: str) -> set[str]:
    return {row["id"] for row in await execute(url, "SELECT id FROM likewise.ratings WHERE value = 1")}
