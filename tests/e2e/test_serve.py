"""`likewise serve` as an operator runs it: every step by command, then the service in its own process."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from likewise.tokens import generate_private_key
from tests.e2e.server import environment, running, wait_for_line
from tests.house import KEY_ID, LIKE_BODY, TEAM_ID

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


def test_a_client_that_never_finishes_cannot_hold_up_the_shutdown(url, headers):
    with served(url, LIKEWISE_SHUTDOWN_SECONDS_MAX="1") as process:
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
    assert "Traceback" not in errors


def test_the_database_may_come_from_a_file(url, headers, tmp_path):
    (tmp_path / "url").write_text(url + "\n")
    command = [sys.executable, "-m", "likewise", "serve", "--port", "0"]
    with running(command, LIKEWISE_DATABASE_FILE=str(tmp_path / "url")) as process:
        response = httpx2.get(address_of(process) + "/v1/test", headers=headers)

    assert response.status_code == 200


def test_a_misspelled_variable_is_pointed_out(url, headers):
    with served(url, LIKEWISE_PROT="1") as process:
        assert "did you mean LIKEWISE_PORT?" in wait_for_line(process, "warning")

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


def until(status, address, headers):
    """Ask until the answer is `status`; say whether that was within 5 seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if httpx2.get(address + SONG, headers=headers).status_code == status:
            return True
    return False
