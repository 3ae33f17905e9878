"""`likewise serve` on TLS and on a Unix socket, with one worker and with several, and how it is told to stop."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from likewise.domain import DeveloperKey
from likewise.serving import SAME_SIGNAL_SECONDS
from likewise.stores import open_store
from likewise.tokens import mint_developer_token, read_public_key
from tests.certificates import made_today
from tests.e2e.server import environment, running, wait_for_line
from tests.house import KEY_ID, LIKE_BODY, TEAM_ID, issue_user_token

SONG = "/v1/me/ratings/songs/907242702"
SECONDS_MAX = 30

with_one_worker_and_with_two = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/likewise.db"


@pytest.fixture
def headers(url, private_key):
    async def settle():
        now = int(time.time() * 1000)
        store = await open_store(url)
        await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), now))
        token = await issue_user_token(store, await store.add_listener("ada", "us"), now=now)
        await store.close()
        return token

    now_seconds = int(time.time())
    developer_token = mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now_seconds, seconds=3600
    )
    return {"Authorization": f"Bearer {developer_token}", "Music-User-Token": asyncio.run(settle())}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "likewise.sock"


def served(url, workers=1, **extra):
    command = [sys.executable, "-m", "likewise", "serve", "--workers", str(workers)]
    return running(command, **{"LIKEWISE_DATABASE": url, "LIKEWISE_PORT": "0"} | extra)


def address_of(process):
    return wait_for_line(process, "serves on").split()[-1]


def client_on(path, headers):
    transport = httpx2.HTTPTransport(uds=str(path), limits=httpx2.Limits(max_keepalive_connections=0))
    return httpx2.Client(transport=transport, base_url="http://likewise", headers=headers)


@contextlib.contextmanager
def request_in_flight(connection, headers):
    """Begin a PUT whose body never comes."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += "Content-Length: 100\r\nExpect: 100-continue\r\n"
    with connection:
        connection.settimeout(SECONDS_MAX)
        connection.sendall(f"PUT {SONG} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the handler waits for the body
        yield


class TestTls:
    @pytest.fixture
    def tls(self, tmp_path):
        certificate, key = made_today(tmp_path)
        return {"LIKEWISE_TLS_CERTIFICATE": str(certificate), "LIKEWISE_TLS_KEY": str(key)}

    @pytest.fixture
    def context(self, tls):
        return ssl.create_default_context(cafile=tls["LIKEWISE_TLS_CERTIFICATE"])

    @with_one_worker_and_with_two
    def test_requests_are_answered_over_tls(self, url, headers, tls, context, workers):
        with served(url, workers, **tls) as process:
            address = address_of(process)
            assert address.startswith("https://127.0.0.1:")

            with httpx2.Client(base_url=address, headers=headers, verify=context) as client:
                assert client.put(SONG, content=LIKE_BODY).status_code == 200
                assert client.get(SONG).json()["data"][0]["attributes"] == {"value": 1}

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_tls_1_2_and_1_3_are_spoken(self, url, headers, tls, context, version):
        context.maximum_version = version
        with (
            served(url, **tls) as process,
            httpx2.Client(base_url=address_of(process), headers=headers, verify=context) as client,
        ):
            assert client.get("/v1/test").status_code == 200

    def test_plain_http_is_not_spoken_there(self, url, headers, tls):
        with served(url, **tls) as process, pytest.raises(httpx2.RemoteProtocolError):
            httpx2.get(address_of(process).replace("https", "http") + "/livez", headers=headers)

    def test_a_certificate_that_is_no_good_is_one_sentence_before_anything_listens(self, url, headers, tls, tmp_path):
        (tmp_path / "likewise.key").write_text("rubbish")

        done = subprocess.run(
            [sys.executable, "-m", "likewise", "serve"],
            env=environment(LIKEWISE_DATABASE=url, **tls),
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

        assert headers
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"error: the file {tmp_path}/likewise.key that LIKEWISE_TLS_KEY names holds no private key in PEM\n"
            "\nhint: is it the right file?\n"
        )


class TestUnixSocket:
    @with_one_worker_and_with_two
    def test_requests_are_answered_over_a_unix_socket(self, url, headers, path, workers):
        with served(url, workers, LIKEWISE_SOCKET=str(path)) as process:
            assert address_of(process) == f"unix:{path}"

            with client_on(path, headers) as client:
                assert {client.put(SONG, content=LIKE_BODY).status_code for _ in range(16)} == {200}

            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=SECONDS_MAX)

        assert process.returncode == 0
        assert errors.endswith("likewise has stopped\n")
        assert not path.exists()

    @pytest.mark.parametrize(("mode", "bits"), [({}, 0o660), ({"LIKEWISE_SOCKET_MODE": "600"}, 0o600)])
    def test_the_socket_has_its_mode(self, url, headers, path, mode, bits):
        with served(url, LIKEWISE_SOCKET=str(path), **mode) as process:
            address_of(process)

            assert headers
            assert stat.S_IMODE(path.stat().st_mode) == bits

    @pytest.mark.skipif(not Path("/proc").exists(), reason="the workers are found in /proc")
    def test_a_worker_that_dies_is_replaced_on_the_same_socket(self, url, headers, path):
        with served(url, 2, LIKEWISE_SOCKET=str(path)) as process:
            address_of(process)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
            for child in children:
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
            wait_for_line(process, "another takes its place")
            wait_for_line(process, "another takes its place")

            with client_on(path, headers) as client:
                assert client.get("/v1/test", timeout=SECONDS_MAX).status_code == 200

    def test_a_second_service_on_the_socket_is_refused_and_the_first_goes_on(self, url, headers, path):
        with served(url, LIKEWISE_SOCKET=str(path)) as process:
            address_of(process)
            with served(url, LIKEWISE_SOCKET=str(path)) as second:
                wait_for_line(second, f"error: the socket {path} is in use")

            with client_on(path, headers) as client:
                assert client.get("/v1/test").status_code == 200

    def test_the_socket_of_a_service_that_was_killed_is_replaced(self, url, headers, path):
        with served(url, LIKEWISE_SOCKET=str(path)) as process:
            address_of(process)
            process.kill()
        assert path.exists()

        with served(url, LIKEWISE_SOCKET=str(path)) as process:
            address_of(process)
            with client_on(path, headers) as client:
                assert client.get("/v1/test").status_code == 200


class TestTheSecondSignal:
    @with_one_worker_and_with_two
    @pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
    def test_the_first_waits_for_what_is_in_flight_and_the_second_does_not(
        self, url, headers, path, workers, signal_number
    ):
        with served(url, workers, LIKEWISE_SOCKET=str(path), LIKEWISE_SHUTDOWN_SECONDS_MAX="600") as process:
            address_of(process)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(path))
            with request_in_flight(connection, headers):
                process.send_signal(signal_number)
                while path.exists():  # which says that the first has been heard
                    time.sleep(0.01)
                time.sleep(SAME_SIGNAL_SECONDS + 0.1)  # so that it is a second one
                process.send_signal(signal_number)
                _, errors = process.communicate(timeout=SECONDS_MAX)

        assert process.returncode == 0
        assert "told twice to stop" in errors
        assert errors.endswith("likewise has stopped\n")

    @with_one_worker_and_with_two
    def test_two_at_once_are_one(self, url, headers, path, workers):
        """As timeout(1) sends them: to the process, and to its group."""
        with served(url, workers, LIKEWISE_SOCKET=str(path)) as process:
            address_of(process)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(path))
            with request_in_flight(connection, headers):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGINT)
                while path.exists():
                    time.sleep(0.01)
                connection.sendall(LIKE_BODY.ljust(100))

                assert connection.recv(100).startswith(b"HTTP/1.1 200")

    @pytest.mark.skipif(not Path("/proc").exists(), reason="the workers are found in /proc")
    def test_a_worker_that_hears_of_one_stop_twice_is_not_hurried(self, url, headers, path):
        """As when systemd, or a terminal, tells each process of a group, and the supervisor its workers too."""
        with served(url, 2, LIKEWISE_SOCKET=str(path)) as process:
            address_of(process)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
            workers = [int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(path))
            with request_in_flight(connection, headers):
                for each in (*workers, process.pid):
                    os.kill(each, signal.SIGTERM)
                while path.exists():
                    time.sleep(0.01)
                connection.sendall(LIKE_BODY.ljust(100))

                assert connection.recv(100).startswith(b"HTTP/1.1 200")
            _, errors = process.communicate(timeout=SECONDS_MAX)

        assert process.returncode == 0
        assert "killed" not in errors
