"""How long a request waits for PostgreSQL, all its calls together; and who hangs up leaves nothing running."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from likewise import app as app_module
from likewise.api.operators import libraries
from likewise.asgi import Response
from likewise.errors import ClientGone, StoreUnavailable
from likewise.stores import open_store
from likewise.stores.postgres import REMOVE_SECONDS_MAX
from likewise.stores.postgres.patience import CALL_SECONDS_MAX, bounded, in_time, within
from tests.contract.postgres_proxy import proxied
from tests.contract.postgres_server import execute, open_house, postgres_server
from tests.e2e.postgres_load import SLACK_SECONDS, Load, RunningClock
from tests.house import LIKE_BODY, error_of, raw_headers

SONG_PATH = "/v1/me/ratings/songs/907242702"
REQUEST_ID = (b"request-id", b"1")


@pytest.fixture
async def proxy():
    async with proxied(postgres_server().make_database()) as proxy:
        yield proxy


@pytest.fixture
async def house(proxy, private_key):
    """A whole application, on a wire that can be made slow."""
    async with open_house(proxy.url, private_key, RunningClock(), admin_token="x" * 32) as house:
        yield house
        proxy.answer_seconds = 0
        proxy.resume()


@pytest.fixture
async def client(house):
    async with house.client(house.ada_token) as client:
        yield client


# How long a block waits


async def seconds_until_refused(seconds_max: float = CALL_SECONDS_MAX) -> float:
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with within(seconds_max):
            await asyncio.Event().wait()
    return time.monotonic() - begun


async def test_without_a_bound_a_call_waits_as_long_as_it_may():
    assert 0.2 <= await seconds_until_refused(0.2) < 0.2 + SLACK_SECONDS


async def test_what_one_call_has_waited_the_next_does_not_wait_any_more():
    with bounded(0.3):
        first = await seconds_until_refused(0.2)
        second = await seconds_until_refused(0.2)
        third = await seconds_until_refused(0.2)

    assert first >= 0.2
    assert second < first
    assert third < 0.1 + SLACK_SECONDS / 2


async def test_what_comes_with_the_last_moment_comes_in_time():
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_soon(future.set_result, "an answer")

    with bounded(0):
        assert await in_time(future) == "an answer"


async def test_calls_at_once_spend_their_time_once():
    with bounded(0.5):
        begun = time.monotonic()
        await asyncio.gather(*(seconds_until_refused(0.2) for _ in range(10)))
        together = time.monotonic() - begun
        left = await seconds_until_refused()

    assert 0.2 < together + left < 0.5 + SLACK_SECONDS
    assert left > 0


async def test_what_passes_between_calls_is_not_spent():
    with bounded(0.3):
        await seconds_until_refused(0.1)
        await asyncio.sleep(0.4)
        left = await seconds_until_refused()

    assert left > 0.05


async def test_a_call_that_may_take_longer_than_others_is_exempt():
    with bounded(0.1):
        async with within(REMOVE_SECONDS_MAX):
            await asyncio.sleep(0.2)


async def test_after_the_block_nothing_is_bounded():
    with bounded(0.05):
        await seconds_until_refused()

    async with within(CALL_SECONDS_MAX):
        await asyncio.sleep(0.1)


# How long a request waits


@pytest.fixture
async def forgotten(house, client):
    """Everything has been asked before, so that nothing is to be prepared; but what was said of the tokens is old."""
    for _ in range(2):
        house.clock.advance(60_000)
        await client.put(SONG_PATH, content=LIKE_BODY)
        await client.get(SONG_PATH)
    house.clock.advance(60_000)


async def timed(request: Any) -> tuple[int, float]:
    begun = time.monotonic()
    response = await request
    return response.status_code, time.monotonic() - begun


@pytest.mark.usefixtures("forgotten")
async def test_a_request_of_several_calls_waits_no_longer_than_a_request_may(client, proxy, monkeypatch):
    monkeypatch.setattr(app_module, "REQUEST_SECONDS_MAX", 1.5)
    proxy.answer_seconds = 1.0

    # The key, the token and the rating are a call each, and each call alone would be in time.
    status, seconds = await timed(client.put(SONG_PATH, content=LIKE_BODY))

    assert status == 503
    assert 1.5 <= seconds < 1.5 + SLACK_SECONDS


@pytest.mark.usefixtures("forgotten")
async def test_a_request_whose_calls_are_in_time_together_is_answered(client, proxy):
    proxy.answer_seconds = 0.3

    status, _ = await timed(client.put(SONG_PATH, content=LIKE_BODY))

    assert status == 200


async def test_links_in_bulk_have_a_bound_of_their_own(house, proxy, monkeypatch):
    monkeypatch.setattr(app_module, "REQUEST_SECONDS_MAX", 0.1)
    monkeypatch.setattr(libraries, "BULK_SECONDS_MAX", 2.0)
    lines = b"".join(b'{"type":"songs","library_id":"i.%d","catalog_id":"%d"}\n' % (n, n) for n in range(1_000))
    headers = {"Authorization": f"Bearer {'x' * 32}", "Content-Type": "application/x-ndjson"}
    async with house.client() as operator:
        quick, _ = await timed(operator.post("/_likewise/listeners/ada/links", content=lines[:4_000], headers=headers))
        proxy.answer_seconds = 0.5
        slow, seconds = await timed(operator.post("/_likewise/listeners/ada/links", content=lines, headers=headers))

    assert quick == 200
    assert slow == 503
    assert 2.0 <= seconds < 2.0 + SLACK_SECONDS


async def test_how_long_the_body_takes_does_not_count(house, monkeypatch):
    monkeypatch.setattr(app_module, "REQUEST_SECONDS_MAX", 0.5)
    sent: list[Any] = []

    async def receive():
        await asyncio.sleep(0.8)
        return {"type": "http.request", "body": LIKE_BODY}

    async def send(message):
        sent.append(message)

    headers = raw_headers(house.headers(house.ada_token))
    scope = {"type": "http", "method": "PUT", "raw_path": SONG_PATH.encode(), "query_string": b"", "headers": headers}
    await house.app(scope, receive, send)

    assert sent[0]["status"] == 200


# A server that is slow


@pytest.fixture
async def load(client):
    return Load(client)


async def test_a_server_too_slow_to_be_waited_for_makes_nobody_wait_long(house, proxy, load):
    async with house.client() as stranger, load.running():
        proxy.answer_seconds = 3.0
        await load.answers(503, 40)
        readiness = (await stranger.get("/readyz")).status_code
        proxy.answer_seconds = 0
        await load.answers(200, 50)
        recovered = (await stranger.get("/readyz")).status_code

    assert (readiness, recovered) == (503, 200)
    assert set(load.statuses) <= {200, 404, 503}
    assert load.seconds_longest < app_module.REQUEST_SECONDS_MAX + SLACK_SECONDS


async def test_a_server_that_is_slow_but_in_time_is_waited_for(proxy, load):
    async with load.running():
        proxy.answer_seconds = 0.1  # a connection takes some six of these, and is waited for for a second
        await load.answers(200, 50)

    assert set(load.statuses) <= {200, 404}


@pytest.mark.parametrize("statements", range(5))
async def test_a_transaction_on_a_wire_that_hangs_is_given_up_wherever_it_is(proxy, statements):
    store = await open_store(proxy.url)
    await store.add_listener("ada", "us")
    proxy.forget()
    proxy.stall_after = statements
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await store.add_listener("ben", "us")
    seconds = time.monotonic() - begun
    proxy.resume()
    await store.close()

    assert seconds < CALL_SECONDS_MAX + SLACK_SECONDS


# Who hangs up


async def turns(is_so: Callable[[], bool]) -> None:
    """Let the others have turns until it is so."""
    for _ in range(10_000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never was so")


async def test_when_a_client_hangs_up_no_further_page_is_read():
    read: list[int] = []
    sent: list[bytes] = []
    has_hung_up = asyncio.Event()

    async def pages():
        for number in range(100):
            read.append(number)
            yield b"%d" % number

    async def receive():
        await has_hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message.get("body", b""))
        if sent[-1] == b"2":
            has_hung_up.set()
        await asyncio.sleep(0)

    with pytest.raises(ClientGone):
        await Response(200, b"first", rest=pages()).send(
            send, receive, method="GET", accepts=None, request_id=REQUEST_ID
        )
    assert sent[1:5] == [b"first", b"0", b"1", b"2"]
    assert len(read) <= 5


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.request", "body": b""}],
        [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b"}],
    ],
)
async def test_a_client_that_stays_has_every_page_also_when_it_sent_a_body_that_nobody_read(messages):
    sent: list[bytes] = []
    left = [*messages, {"type": "http.request", "body": b""}]

    async def pages():
        for number in range(10):
            await asyncio.sleep(0)
            yield b"%d" % number

    async def receive():
        return left.pop(0)

    async def send(message):
        sent.append(message.get("body", b""))

    await Response(200, b"first", rest=pages()).send(send, receive, method="GET", accepts=None, request_id=REQUEST_ID)

    assert b"".join(sent) == b"first0123456789"


async def test_a_write_whose_request_is_cancelled_while_it_waits_is_taken_out(house, client, proxy):
    await client.put(SONG_PATH, content=LIKE_BODY)
    proxy.stall()
    first = asyncio.ensure_future(client.put("/v1/me/ratings/songs/1", content=LIKE_BODY))
    await turns(lambda: house.app.store._writes._draining is not None and house.app.store._writes.waiting == 0)
    waiting = asyncio.ensure_future(client.put("/v1/me/ratings/songs/2", content=LIKE_BODY))
    await turns(lambda: house.app.store._writes.waiting == 1)
    waiting.cancel()
    proxy.resume()
    response = await first

    rows = await execute(proxy.upstream, "SELECT id FROM likewise.ratings ORDER BY id")
    assert response.status_code == 200
    assert [row["id"] for row in rows] == ["1", "907242702"]


async def test_a_request_that_is_refused_for_its_time_says_so(client, proxy, monkeypatch):
    monkeypatch.setattr(app_module, "REQUEST_SECONDS_MAX", 0.2)
    proxy.answer_seconds = 0.5

    response = await client.get(SONG_PATH)

    assert error_of(response)["code"] == "50300"
    assert response.headers["retry-after"] == "1"
