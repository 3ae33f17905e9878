"""Metrics and logs of a real service: several workers, one that dies, an address of its own, a hostile session."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from likewise.app import now
from likewise.domain import DeveloperKey
from likewise.serving.numbers import CONNECTIONS_MAX
from likewise.stores import open_store
from likewise.tokens import mint_developer_token, read_public_key
from tests.e2e.server import environment, running, wait_for_line
from tests.e2e.test_workers import rate, until, workers_of
from tests.house import KEY_ID, TEAM_ID, issue_user_token
from tests.test_metrics import requests, value

SECONDS_MAX = 20
RATING = "/v1/me/ratings/{type}/{id}"
ADMIN_TOKEN = "correct-horse-battery-staple-and-more"

needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="the workers are found in /proc")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/likewise.db"


@pytest.fixture
def headers(url, private_key):
    async def settle():
        store = await open_store(url)
        await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), now()))
        token = await issue_user_token(store, await store.add_listener("ada", "us"), now=now())
        await store.close()
        return token

    developer_token = mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now() // 1000, seconds=3600
    )
    return {"Authorization": f"Bearer {developer_token}", "Music-User-Token": asyncio.run(settle())}


def served(url, workers, **extra):
    command = [sys.executable, "-m", "likewise", "serve", "--port", "0", "--workers", str(workers)]
    return running(command, LIKEWISE_DATABASE=url, **extra)


def address_in(line):
    found = re.search(r"http://[0-9.:]+", line)
    assert found is not None
    return found.group()


def ratings_counted(address, path="/metrics"):
    return requests(httpx2.get(address + path).text).get((RATING, "PUT", "200"), 0)


@needs_proc
def test_whichever_worker_is_asked_tells_what_all_have_done_also_those_that_died(url, headers):
    with served(url, 2) as process:
        address = address_in(wait_for_line(process, "serves on"))
        workers = workers_of(process)
        assert asyncio.run(rate(address, headers, range(60))) == {200}
        assert {ratings_counted(address) for _ in range(12)} == {60}

        os.kill(min(workers), signal.SIGKILL)
        assert until(lambda: len(workers_of(process) - workers) == 1)
        assert ratings_counted(address) == 60
        wait_for_starts(address, 3)
        assert asyncio.run(rate(address, headers, range(60))) == {200}

        # Each worker may tell for a moment what it told a moment ago.
        assert until(lambda: {ratings_counted(address) for _ in range(12)} == {120})
        text = httpx2.get(address + "/metrics").text
        assert until(lambda: value(httpx2.get(address + "/metrics").text, "likewise_write_batch_size_sum") >= 60)
        pids = [value(text, "process_start_time_seconds", worker=number) for number in ("0", "1")]
        assert all(pids)


def wait_for_starts(address, number):
    assert until(lambda: value(httpx2.get(address + "/metrics").text, "likewise_worker_starts_total") == number)


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_on_an_address_of_their_own_are_there_and_nowhere_else(url, headers, workers):
    with served(url, workers, LIKEWISE_METRICS_ADDRESS="127.0.0.1:0") as process:
        metrics = address_in(wait_for_line(process, "the metrics are on"))
        address = address_in(wait_for_line(process, "serves on"))
        asyncio.run(rate(address, headers, range(20)))

        assert {ratings_counted(metrics) for _ in range(8)} == {20}
        assert ratings_counted(metrics, "/metrics?collect=all") == 20
        head = httpx2.head(metrics + "/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert httpx2.get(metrics + "/v1/test").status_code == 404
        assert httpx2.get(address + "/metrics").status_code == 404

        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_whoever_is_silent_at_the_metrics_holds_up_neither_others_nor_the_service_nor_its_end(url, headers):
    with served(url, 1, LIKEWISE_METRICS_ADDRESS="127.0.0.1:0") as process:
        metrics = address_in(wait_for_line(process, "the metrics are on"))
        address = address_in(wait_for_line(process, "serves on"))
        host, port = metrics.removeprefix("http://").split(":")
        silent = [socket.create_connection((host, int(port)), timeout=SECONDS_MAX) for _ in range(CONNECTIONS_MAX)]
        silent[0].close()  # which makes room for one
        assert until(lambda: ratings_counted_or_none(metrics) == 0)
        silent[0] = socket.create_connection((host, int(port)), timeout=SECONDS_MAX)

        with socket.create_connection((host, int(port)), timeout=SECONDS_MAX) as one_too_many:
            assert one_too_many.recv(1) == b""
        assert asyncio.run(rate(address, headers, range(8))) == {200}
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS_MAX)
        for each in silent:
            each.close()

    assert process.returncode == 0
    assert "Traceback" not in errors


def ratings_counted_or_none(metrics):
    try:
        return ratings_counted(metrics)
    except httpx2.TransportError:
        return None


def test_an_address_that_cannot_be_had_for_the_metrics_is_refused_with_its_reason(url, headers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for text, reason, code in [
            (f"127.0.0.1:{port}", "in use", 1),
            ("203.0.113.1:9464", "", 2),
            ("no.such.host.invalid:1", "", 2),
        ]:
            done = subprocess.run(
                [sys.executable, "-m", "likewise", "serve", "--port", "0"],
                capture_output=True,
                text=True,
                timeout=60,
                env=environment(LIKEWISE_DATABASE=url, LIKEWISE_METRICS_ADDRESS=text),
                check=False,
            )

            assert headers
            assert done.returncode == code
            assert f"error: the metrics cannot be at {text} (" in done.stderr
            assert reason in done.stderr
            assert "hint: give another LIKEWISE_METRICS_ADDRESS" in done.stderr
            assert "Traceback" not in done.stderr


@needs_proc
def test_a_hostile_session_leaves_json_lines_and_no_token_in_them(url, headers):
    settings = {
        "LIKEWISE_LOG_FORMAT": "auto",  # stderr is no terminal here
        "LIKEWISE_LOG_LEVEL": "debug",
        "LIKEWISE_ACCESS_LOG": "on",
        "LIKEWISE_LOG_LISTENERS": "clear",
        "LIKEWISE_ADMIN_TOKEN": ADMIN_TOKEN,
        "LIKEWISE_RATE_LIMIT": "40",
        "LIKEWISE_NO_SUCH_SETTING\n{": "x",
    }
    tokens = [*(value.removeprefix("Bearer ") for value in headers.values()), ADMIN_TOKEN]
    with served(url, 2, **settings) as process:
        address = address_in(wait_for_line(process, "serves on"))
        httpx2.get(f"{address}/v1/me/storefront", headers=headers)
        for token in tokens:
            asyncio.run(be_hostile(address, headers, token))
        os.kill(min(workers_of(process)), signal.SIGKILL)
        # The lines are few enough for the pipe to hold them.
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=SECONDS_MAX)

    entries = [json.loads(line) for line in errors.splitlines()]
    assert out == ""
    assert {"2xx", "4xx"} == {f"{each['status'] // 100}xx" for each in entries if each["message"] == "request"}
    assert {each["listener"] for each in entries if "listener" in each} == {"ada"}
    assert entries[-1]["message"] == "likewise has stopped"
    for token in tokens:
        assert token not in errors


async def be_hostile(address, headers, token):
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
        for more in ({}, {"Music-User-Token": token}, {"Authorization": f"Bearer {token}"}, {"Authorization": token}):
            for name in ("X-Request-Id", "Origin", "User-Agent"):
                named = more | {name: token}
                await client.put(f"/v1/me/ratings/songs/{token}", headers=named, content=token)
                await client.get(f"/{token}?ids={token}&l={token}", headers=named)
                await client.post("/_likewise/keys", headers=named, json={"key_id": token, "public_key": token})
                await client.get("/v1/me/ratings/songs/1%0a%0d%1b", headers=named)


@needs_proc
def test_requests_at_the_same_time_keep_their_own_ids(url, headers):
    with served(url, 2, LIKEWISE_ACCESS_LOG="on", LIKEWISE_LOG_FORMAT="json") as process:
        address = address_in(wait_for_line(process, "serves on"))

        async def ask(client, number):
            answer = await client.put(
                f"/v1/me/ratings/songs/{number}", content=b"x" * number, headers={"X-Request-Id": f"r-{number}"}
            )
            return answer.headers["x-request-id"]

        async def ask_all():
            async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
                return await asyncio.gather(*(ask(client, number) for number in range(100)))

        assert asyncio.run(ask_all()) == [f"r-{number}" for number in range(100)]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS_MAX)

    logged = [json.loads(line) for line in errors.splitlines()]
    assert {each["request_id"] for each in logged if each["message"] == "request"} == {f"r-{n}" for n in range(100)}
