"""`likewise serve --workers`: several processes, one address, one database."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from likewise.app import now
from likewise.config import Settings
from likewise.domain import DeveloperKey
from likewise.serving.workers import workers_for
from likewise.stores import open_store
from likewise.tokens import mint_developer_token, read_public_key
from tests.contract.adapters import ADAPTERS, DURABLE_ADAPTERS
from tests.e2e.server import environment, running, wait_for_line
from tests.house import KEY_ID, LIKE_BODY, TEAM_ID, issue_user_token

SECONDS_MAX = 20


@pytest.fixture(params=DURABLE_ADAPTERS)
def url(request, tmp_path):
    return ADAPTERS[request.param](tmp_path).url


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


def served(url, *arguments, **extra):
    command = [sys.executable, "-m", "likewise", "serve", "--port", "0", *arguments]
    return running(command, LIKEWISE_DATABASE=url, **extra)


def address_of(process):
    return wait_for_line(process, "serves on").split()[-1]


def workers_of(process):
    """The process ids of the workers: the children that are Python's, without multiprocessing's own tracker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
    return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def until(condition):
    """Wait until something is true; say whether it came true in time."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def rate(address, headers, ids):
    """Rate songs, each on a connection of its own, so that every worker gets some; return the statuses."""
    limits = httpx2.Limits(max_connections=16, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=address, headers=headers, limits=limits, timeout=30) as client:
        puts = [client.put(f"/v1/me/ratings/songs/{id}", content=LIKE_BODY) for id in ids]
        return {answer.status_code for answer in await asyncio.gather(*puts)}


def test_two_workers_lose_no_write_and_no_lock_reaches_a_client(url, headers):
    with served(url, "--workers", "2") as process:
        address = address_of(process)
        assert len(workers_of(process)) == 2

        statuses = asyncio.run(rate(address, headers, range(200)))
        ids = ",".join(map(str, range(200)))
        read = httpx2.get(f"{address}/v1/me/ratings/songs?ids={ids}", headers=headers)

    assert statuses == {200}
    assert len(read.json()["data"]) == 200


@pytest.mark.skipif(not Path("/proc").exists(), reason="the workers are found in /proc")
def test_a_worker_that_dies_is_replaced_and_the_service_goes_on(url, headers):
    with served(url, "--workers", "2") as process:
        address = address_of(process)
        [first, second] = workers_of(process)

        os.kill(first, signal.SIGKILL)

        assert until(lambda: len(workers_of(process) - {first, second}) == 1)
        assert until(lambda: asyncio.run(rate(address, headers, range(8))) == {200})
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS_MAX)

    assert process.returncode == 0
    assert "a worker died (exit code -9)" in errors
    assert "Traceback" not in errors


@pytest.mark.skipif(not Path("/proc").exists(), reason="the workers are found in /proc")
def test_workers_do_not_outlive_who_looks_after_them(url, headers):
    with served(url, "--workers", "2") as process:
        address_of(process)
        workers = workers_of(process)

        process.kill()

        assert headers
        assert until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_workers_and_the_exit_code_is_0(url, headers, signal_number):
    with served(url, "--workers", "3") as process:
        address_of(process)
        process.send_signal(signal_number)
        out, errors = process.communicate(timeout=SECONDS_MAX)

    assert headers
    assert (process.returncode, out) == (0, "")
    assert errors.endswith("likewise has stopped\n")


def test_a_worker_that_hangs_is_killed_after_the_limit(url, headers):
    with served(url, "--workers", "2", LIKEWISE_SHUTDOWN_SECONDS_MAX="1") as process:
        address_of(process)
        frozen = min(workers_of(process))
        os.kill(frozen, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS_MAX)

    assert headers
    assert process.returncode == 0
    assert "a worker did not stop in time and was killed" in errors


_START = """
import sys
from likewise.config import Settings
from likewise.errors import LikewiseError
from likewise.serving import Port
from likewise.serving.workers import run_workers
if __name__ == "__main__":
    settings = Settings(database="sqlite:///nowhere.db", workers=2)
    try:
        run_workers(settings, Port("127.0.0.1", 1), on_listening=print)
    except LikewiseError as error:
        sys.exit(f"refused: {error}")
"""


def test_workers_that_cannot_start_end_the_service_with_the_reason(tmp_path):
    script = tmp_path / "start.py"
    script.write_text(_START)

    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == 1
    assert "the worker cannot serve: there is no database nowhere.db" in done.stderr
    assert "refused: a worker could not start" in done.stderr


@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        (Settings(database="sqlite:///likewise.db"), 1),
        (Settings(database="sqlite:///likewise.db", workers=3), 3),
        (Settings(database="postgresql://localhost/likes"), os.cpu_count()),
        (Settings(database="postgresql://localhost/likes", workers=1), 1),
    ],
)
def test_the_number_of_workers_is_what_was_said_or_right_for_the_database(settings, workers):
    assert workers_for(settings) == workers


@pytest.mark.skipif(not Path("/proc").exists(), reason="the workers are found in /proc")
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_workers_start_stops_the_service_quietly(url, headers, signal_number):
    with served(url, "--workers", "2") as process:
        assert until(lambda: len(workers_of(process)) == 2)
        for each in (process.pid, *workers_of(process)):
            os.kill(each, signal_number)  # as a terminal does it
        _, errors = process.communicate(timeout=SECONDS_MAX)

    assert headers
    assert process.returncode == 0
    assert "Traceback" not in errors
