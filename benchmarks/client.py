"""What the client costs beside a bare httpx2 client that sends the same requests to the same server.

    .venv/bin/python benchmarks/client.py [--rounds 30] [--calls 200]

The two take turns within each round, and only ratios within a round are compared.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from likewise import AsyncClient, Client

SONG = "907242702"
PATH = f"/v1/me/ratings/songs/{SONG}"
BODY = b'{"type":"rating","attributes":{"value":1}}'
IDS = [str(id) for id in range(1, 101)]

Call = Callable[[], Any]
AsyncCall = Callable[[], Awaitable[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=200, help="of each kind in a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0", "--data", f"{folder}/data"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                facts = json.loads(server.stdout.readline())
                measure(facts, options.rounds, options.calls)
                asyncio.run(measure_async(facts, options.rounds, options.calls))
            finally:
                server.terminate()


def measure(facts: dict[str, Any], rounds: int, calls: int) -> None:
    token, user_token = facts["developer_token"], facts["music_user_tokens"]["ada"]
    with httpx2.Client(**bare(facts)) as raw, Client(token, user_token, base_url=facts["url"]) as client:
        client.add_favorites("songs", [SONG, *IDS])
        pairs: dict[str, tuple[Call, Call]] = {
            "GET one": (lambda: raw.get(PATH).json(), lambda: client.get_rating("songs", SONG)),
            "PUT": (lambda: raw.put(PATH, content=BODY).json(), lambda: client.put_rating("songs", SONG, 1)),
            "GET 100 ids": (
                lambda: raw.get("/v1/me/ratings/songs", params={"ids": ",".join(IDS)}).json(),
                lambda: client.get_ratings("songs", IDS),
            ),
        }
        for name, (theirs, ours) in pairs.items():
            report(f"{name}, Client", [(timed(theirs, calls), timed(ours, calls)) for _ in range(rounds)])


async def measure_async(facts: dict[str, Any], rounds: int, calls: int) -> None:
    token, user_token = facts["developer_token"], facts["music_user_tokens"]["ada"]
    async with (
        httpx2.AsyncClient(**bare(facts)) as raw,
        AsyncClient(token, user_token, base_url=facts["url"]) as client,
    ):
        pairs: dict[str, tuple[AsyncCall, AsyncCall]] = {
            "GET one": (lambda: raw.get(PATH), lambda: client.get_rating("songs", SONG)),
            "PUT": (lambda: raw.put(PATH, content=BODY), lambda: client.put_rating("songs", SONG, 1)),
        }
        for name, (theirs, ours) in pairs.items():
            rows = [(await timed_async(theirs, calls), await timed_async(ours, calls)) for _ in range(rounds)]
            report(f"{name}, AsyncClient", rows)


def bare(facts: dict[str, Any]) -> dict[str, Any]:
    headers = {
        "Authorization": f"Bearer {facts['developer_token']}",
        "Music-User-Token": facts["music_user_tokens"]["ada"],
    }
    return {"base_url": facts["url"], "headers": headers}


def timed(call: Call, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls


async def timed_async(call: AsyncCall, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - begin) / calls


def report(name: str, rows: list[tuple[float, float]]) -> None:
    theirs, ours = (statistics.median(column) * 1e6 for column in zip(*rows, strict=True))
    ratios = sorted(ours / theirs for theirs, ours in rows)
    low, median, high = ratios[len(ratios) // 10], statistics.median(ratios), ratios[-1 - len(ratios) // 10]
    print(f"{name:24} httpx2 {theirs:5.0f} µs   likewise {ours:5.0f} µs   ratio {median:.2f} ({low:.2f} … {high:.2f})")


if __name__ == "__main__":
    main()
