"""`likewise serve` as an operator runs it: every step by command, then the service in its own process."""

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from likewise.domain import Change, Item, Kind, Value
from likewise.stores import open_store
from likewise.tokens import generate_private_key, mint_developer_token, read_public_key
from tests.contract.adapters import ADAPTERS, DURABLE_ADAPTERS
from tests.contract.postgres_server import postgres_server
from tests.e2e.server import environment, running, wait_for_line
from tests.house import KEY_ID, LIKE_BODY, MONDAY, TEAM_ID

ADMIN_TOKEN = "correct-horse-battery-staple-and-more"
SONG = "/v1/me/ratings/songs/907242702"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/likewise.db"


@pytest.fixture
def likewise(url):
    def run(*arguments):
        command = [sys.executable, "-m", "likewise", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment(LIKEWISE_DATABASE=url), check=True
        )
        return done.stdout.strip()

    return run


@pytest.fixture
def headers(tmp_path, likewise):
    key = tmp_path / f"AuthKey_{KEY_ID}.p8"
    key.write_bytes(generate_private_key())
    likewise("key", "add", key, "--team-id", TEAM_ID)
    likewise("listener", "add", "ada")
    return {
        "Authorization": f"Bearer {likewise('token', 'developer', key, '--team-id', TEAM_ID)}",
        "Music-User-Token": likewise("token", "user", "ada", "--team-id", TEAM_ID),
    }


def served(url, *arguments, **extra):
    command = [sys.executable, "-m", "likewise", "serve", "--port", "0", *arguments]
    return running(command, LIKEWISE_DATABASE=url, **extra)


def address_of(process):
    found = re.search(r"http://\S+", wait_for_line(process, "serves on"))
    assert found is not None
    return found.group()


def test_from_nothing_to_a_rating_by_commands_alone(url, headers):
    with served(url) as process:
        response = httpx2.put(address_of(process) + SONG, content=LIKE_BODY, headers=headers)

    assert response.status_code == 200


def test_stdout_stays_empty_and_a_signal_ends_it_with_0(url, headers):
    with served(url) as process:
        address_of(process)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)

    assert headers
    assert process.returncode == 0
    assert out == ""
    assert "Traceback" not in errors


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_client_that_never_finishes_cannot_hold_up_the_shutdown(url, headers, workers):
    with served(url, "--workers", workers, LIKEWISE_SHUTDOWN_SECONDS_MAX="1") as process:
        host, port = address_of(process).removeprefix("http://").split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head += "Content-Length: 100\r\nExpect: 100-continue\r\n"
            connection.sendall(f"PUT {SONG} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the handler waits for the body
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=9)

    assert process.returncode == 0
    assert "the shutdown took more than 1 seconds" in errors
    assert errors.endswith("likewise has stopped\n")


@pytest.mark.parametrize(("method", "path"), [("GET", "/livez"), ("DELETE", SONG), ("PUT", SONG)])
def test_a_giant_body_that_nobody_reads_does_not_cost_the_answer(url, headers, method, path):
    """It may cost the connection: the rest of the body is in the way of the next request."""
    with served(url) as process:
        host, port = address_of(process).removeprefix("http://").split(":")
        for bytes_sent in (50_000, 500_000, 5_000_000):
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                head = (
                    f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes_sent}\r\nConnection: close\r\n\r\n"
                )
                connection.sendall(head.encode())
                with contextlib.suppress(OSError):  # the service may have heard enough
                    connection.sendall(b" " * bytes_sent)
                answer = connection.makefile("rb").readline()

            assert answer.startswith(b"HTTP/1.1 200" if path == "/livez" else b"HTTP/1.1 401")

    assert headers


def test_the_database_may_come_from_a_file(url, headers, tmp_path):
    (tmp_path / "url").write_text(url + "\n")
    command = [sys.executable, "-m", "likewise", "serve", "--port", "0"]
    with running(command, LIKEWISE_DATABASE_FILE=str(tmp_path / "url")) as process:
        response = httpx2.get(address_of(process) + "/v1/test", headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize("adapter", DURABLE_ADAPTERS)
def test_with_an_admin_token_it_serves_without_a_key_until_one_is_registered(adapter, tmp_path, private_key):
    database = ADAPTERS[adapter](tmp_path)
    asyncio.run(begin(database))
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    key = {"key_id": KEY_ID, "team_id": TEAM_ID, "public_key": read_public_key(private_key)}
    with served(database.url, LIKEWISE_ADMIN_TOKEN=ADMIN_TOKEN) as process:
        wait_for_line(process, "WARNING no developer key is registered, so nobody but the operator is let in")
        address = address_of(process)
        developer = {"Authorization": f"Bearer {token_of(private_key)}"}
        assert httpx2.get(f"{address}/v1/test", headers=developer).status_code == 401

        assert httpx2.post(f"{address}/_likewise/keys", json=key, headers=operator).status_code == 201

        assert httpx2.get(f"{address}/v1/test", headers=developer).status_code == 200


def test_with_an_admin_token_it_begins_an_empty_postgresql_database():
    url = postgres_server().make_database(is_empty=True)

    with served(url, LIKEWISE_ADMIN_TOKEN=ADMIN_TOKEN) as process:
        assert httpx2.get(address_of(process) + "/readyz").status_code == 200


def test_without_an_admin_token_an_empty_postgresql_database_is_refused_and_stays_empty():
    url = postgres_server().make_database(is_empty=True)

    for _ in range(2):
        with served(url) as process:
            wait_for_line(process, "error: there is no Likewise in this database")


def test_a_misspelled_variable_is_pointed_out(url, headers):
    with served(url, LIKEWISE_PROT="1") as process:
        assert "did you mean LIKEWISE_PORT?" in wait_for_line(process, "WARNING")

    assert headers


def test_a_revoked_key_and_token_are_refused_within_seconds(url, headers, likewise):
    with served(url) as process:
        address = address_of(process)
        assert httpx2.get(address + SONG, headers=headers).status_code == 404
        [token] = json.loads(likewise("token", "list", "ada", "--json"))

        likewise("token", "revoke", token["id"])
        assert until(403, address, headers)
        likewise("key", "revoke", KEY_ID)
        assert until(401, address, headers)


async def begin(database):
    store = await database.open()
    await store.close()


def token_of(private_key):
    now_seconds = int(time.time())
    return mint_developer_token(private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now_seconds, seconds=3600)


def until(status, address, headers):
    """Ask until the answer is `status`; say whether that was within 5 seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if httpx2.get(address + SONG, headers=headers).status_code == status:
            return True
    return False


async def rate_songs(url, count):
    store = await open_store(url)
    ada = await store.listener("ada")
    for start in range(0, count, 1_000):
        changes = [Change(Item(Kind.SONG, str(number)), Value.LIKE) for number in range(start, start + 1_000)]
        await store.write(ada, changes, now=MONDAY)
    await store.close()


def test_when_a_client_hangs_up_in_the_middle_of_a_long_answer_the_rest_is_not_read(url, headers):
    asyncio.run(rate_songs(url, 200_000))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with served(url, LIKEWISE_ACCESS_LOG="on") as process:
        host, port = address_of(process).removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET /v1/me/ratings.ndjson HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode())
            begun = connection.recv(1_000)
        line = wait_for_line(process, "ratings.ndjson")

    assert begun.startswith(b"HTTP/1.1 200")
    assert "499" in line
