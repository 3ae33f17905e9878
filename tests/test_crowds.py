"""How many bodies in bulk a worker takes at once, and what one more hears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import httpx2
import pytest

from likewise.api.lists import bulk
from likewise.api.operators import libraries
from likewise.app import App
from tests.house import error_of, issue_user_token

ADMIN_TOKEN = "operator" * 4
LINKS = "/_likewise/listeners/ada/links"
LINE = b'{"type":"songs","library_id":"i.a","catalog_id":"1"}\n'
RATINGS = b'{"data":[{"type":"songs","id":"1","attributes":{"value":1}}]}'
BUSY = {
    "title": "Service Unavailable",
    "detail": "The ratings are unavailable for the moment",
    "status": "503",
    "code": "50300",
}


@pytest.fixture
async def operator(house) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/x-ndjson"}
    async with App(replace(house.app._settings, admin_token=ADMIN_TOKEN), now=house.clock) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://likewise.test", headers=headers) as client:
            yield client


class SlowBodies:
    """Bodies that have begun, and end when they are told."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.end = asyncio.Event()

    async def body(self, content: bytes) -> AsyncIterator[bytes]:
        self.begun.release()
        yield content[:1]
        await self.end.wait()
        yield content[1:]


@asynccontextmanager
async def crowded(client: httpx2.AsyncClient, path: str, content: bytes, places: int) -> AsyncIterator[None]:
    """Take all places with slow bodies until the block ends; then each of them is answered."""
    bodies = SlowBodies()
    slow = [asyncio.ensure_future(client.post(path, content=bodies.body(content))) for _ in range(places)]
    for _ in slow:
        await bodies.begun.acquire()
    yield
    bodies.end.set()
    assert {response.status_code for response in await asyncio.gather(*slow)} == {200}


async def test_one_body_of_links_too_many_is_503_until_there_is_room(operator):
    async with crowded(operator, LINKS, LINE, libraries.BULK_AT_ONCE_MAX):
        one_more = await operator.post(LINKS, content=LINE)
        empty = await operator.post(LINKS, content=b"")

    assert error_of(one_more) == BUSY
    assert one_more.headers["retry-after"] == "1"
    assert empty.status_code == 503
    assert (await operator.post(LINKS, content=LINE)).status_code == 200


async def test_a_single_link_needs_no_place(operator):
    async with crowded(operator, LINKS, LINE, libraries.BULK_AT_ONCE_MAX):
        single = await operator.post(LINKS, content=LINE, headers={"Content-Type": "application/json"})

    assert single.status_code == 201


async def test_one_body_of_ratings_too_many_is_503_until_there_is_room(client, bens_client):
    async with crowded(client, "/v1/me/ratings", RATINGS, bulk.BULK_EACH_MAX):
        one_more = await client.post("/v1/me/ratings", content=RATINGS)
        another = await bens_client.post("/v1/me/ratings", content=RATINGS)

    assert error_of(one_more) == BUSY
    assert another.status_code == 200
    assert (await client.post("/v1/me/ratings", content=RATINGS)).status_code == 200


async def test_all_listeners_together_have_so_much_room(house, client):
    async with AsyncExitStack() as crowds:
        for number in range(bulk.BULK_AT_ONCE_MAX // bulk.BULK_EACH_MAX):
            listener = await house.app.store.add_listener(f"l{number}", "us")
            theirs = await crowds.enter_async_context(house.client(await issue_user_token(house.app.store, listener)))
            await crowds.enter_async_context(crowded(theirs, "/v1/me/ratings", RATINGS, bulk.BULK_EACH_MAX))
        one_more = await client.post("/v1/me/ratings", content=RATINGS)

    assert error_of(one_more) == BUSY
    assert (await client.post("/v1/me/ratings", content=RATINGS)).status_code == 200


async def test_a_body_that_is_refused_gives_its_place_back(operator):
    for _ in range(libraries.BULK_AT_ONCE_MAX + 1):
        assert (await operator.post(LINKS, content=b" " * (libraries.BULK_BYTES_MAX + 1))).status_code == 413
