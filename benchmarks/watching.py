"""What it costs to be watched: counting, request ids, an access log, a rate limit, and being scraped.

A GET of one rating goes through the application without a server between, again and again, with each of the settings in
turn; shown is the least of many rounds, for whatever else the machine does can only add to it. What an access log costs
is without the disk or the pipe that it goes to.
"""

import argparse
import asyncio
import io
import multiprocessing
import os
import platform
import sys
import tempfile
import timeit
from contextlib import AsyncExitStack, redirect_stderr
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from likewise.app import App, now
from likewise.asgi import HeaderPair
from likewise.config import Settings
from likewise.domain import DeveloperKey, UserToken
from likewise.logs import configure
from likewise.logs.requests import RequestIds
from likewise.metrics import Metrics, own_seat, shared_seats
from likewise.metrics.exposition import exposition
from likewise.stores import open_store
from likewise.tokens import (
    digest_of,
    generate_private_key,
    mint_developer_token,
    mint_token_id,
    mint_user_token,
    read_public_key,
    user_token_expiry,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_ID, TEAM_ID = "ABC123DEFG", "DEF123GHIJ"
PATH = b"/v1/me/ratings/songs/907242702"
ENDPOINT = "/v1/me/ratings/{type}/{id}"
REQUESTS = 2_000


class Way(NamedTuple):
    name: str
    settings: dict[str, Any]
    log_format: str = "json"


WAYS = [
    Way("as it is", {}),
    Way("with a rate limit", {"rate_limit": 1_000_000}),
    Way("with an access log in JSON", {"access_log": "on"}),
    Way("with an access log for people", {"access_log": "on"}, "console"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how often to measure each (default: 40)")
    rounds: int = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; the least of {rounds} rounds\n")
    with tempfile.TemporaryDirectory(prefix="likewise-benchmark-") as folder:
        for name, microseconds in asyncio.run(_of_requests(f"sqlite:///{folder}/likewise.db", rounds)).items():
            print(f"{'GET one, ' + name:44}{microseconds:8.2f} µs")
    for name, microseconds in _of_parts(rounds).items():
        print(f"{name:44}{microseconds:8.2f} µs")


async def _of_requests(database: str, rounds: int) -> dict[str, float]:
    headers = await _settle(database)
    scope = {"type": "http", "method": "GET", "raw_path": PATH, "query_string": b"", "headers": headers}
    least: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(App(replace(Settings(database), **way.settings))) for way in WAYS]
        with redirect_stderr(_Nowhere()):
            for _ in range(rounds):
                for way, app in zip(WAYS, apps, strict=True):
                    configure(format=way.log_format)
                    begun = timeit.default_timer()
                    for _ in range(REQUESTS):
                        await app(scope, _receive, _send)
                    measured = (timeit.default_timer() - begun) / REQUESTS * 1e6
                    least[way.name] = min(measured, least.get(way.name, measured))
    return least


async def _settle(database: str) -> list[HeaderPair]:
    store = await open_store(database)
    private_key = generate_private_key()
    await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), now()))
    ada = await store.add_listener("ada", "us")
    user_token = mint_user_token(os.urandom)
    known = UserToken(mint_token_id(os.urandom), ada, TEAM_ID, now(), user_token_expiry(now()))
    await store.add_user_token(digest_of(user_token.encode()), known)
    await store.close()
    developer_token = mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now() // 1000, seconds=3600
    )
    bearer = f"Bearer {developer_token}".encode()
    return [(b"host", b"x"), (b"authorization", bearer), (b"music-user-token", user_token.encode())]


class _Nowhere(io.StringIO):
    """Where a log costs what it costs before it is written."""

    def write(self, text: str) -> int:
        return len(text)


async def _receive() -> dict[str, Any]:
    sys.exit("error: nobody should want the body of a GET")


async def _send(_message: Any) -> None:
    pass


def _of_parts(rounds: int) -> dict[str, float]:
    paths = [ENDPOINT, *(f"{ENDPOINT}/{number}" for number in range(40))]
    metrics = Metrics(paths, own_seat(), engine="sqlite")
    ids = RequestIds(os.urandom, secret="")
    parts: dict[str, tuple[int, Callable[[], Any]]] = {
        "of which counting": (20_000, lambda: metrics.count(ENDPOINT, "GET", 200, 0.000_1)),
        "of which the request id": (20_000, lambda: ids.of(None)),
    }
    for workers in (1, 8):
        crew = [
            Metrics(paths, seat, engine="sqlite")
            for seat in shared_seats(workers, multiprocessing.get_context("spawn"))
        ]
        for endpoint in paths[:10]:
            for worker in crew:
                worker.count(endpoint, "GET", 200, 0.000_1)
        parts[f"writing the metrics of {workers} worker{'s' * (workers > 1)}"] = (3, partial(exposition, crew[0]))
    return {
        name: min(timeit.repeat(call, number=number, repeat=rounds)) / number * 1e6
        for name, (number, call) in parts.items()
    }


if __name__ == "__main__":
    main()
