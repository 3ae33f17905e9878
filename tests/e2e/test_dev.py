"""`likewise dev`, the real thing: a process, a socket, a file, a signal."""

import asyncio
import json
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import jwt
import pytest

from likewise.serving import SAME_SIGNAL_SECONDS
from likewise.tokens import DEVELOPER_TOKEN_SECONDS_MAX, read_public_key
from tests.e2e.server import dev_server, environment, running
from tests.house import LIKE_BODY

SONG = "/v1/me/ratings/songs/907242702"
DOCUMENTED = (
    b'{"data":[{"id":"907242702","type":"ratings","href":"/v1/me/ratings/songs/907242702","attributes":{"value":1}}]}'
)


@pytest.fixture
def server(tmp_path):
    with dev_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def client(server):
    with httpx2.Client(base_url=server.url, headers=server.headers()) as client:
        yield client


def run_dev(*arguments):
    command = [sys.executable, "-m", "likewise", "dev", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(), check=False)


class TestItsSettings:
    def test_what_an_application_is_answered_can_be_rehearsed(self, tmp_path):
        command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0", "--data", str(tmp_path / "data")]
        variables = {"LIKEWISE_EXTENSIONS": "off", "LIKEWISE_IDS_MAX": "2", "LIKEWISE_DATABASE": "sqlite:////nowhere/x"}
        with running(command, **variables) as process:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            headers = {
                "Authorization": f"Bearer {facts['developer_token']}",
                "Music-User-Token": facts["music_user_tokens"]["ada"],
            }
            with httpx2.Client(base_url=facts["url"], headers=headers) as client:
                lists = [
                    client.request(method, path)
                    for method in ("GET", "POST", "DELETE")
                    for path in (
                        "/v1/me/ratings",
                        "/v1/me/ratings/",
                        "/v1/me/ratings?since=1.1",
                        "/v1/me/ratings.ndjson",
                    )
                ]
                unknown = client.get("/v1/me/nothing")
                too_many = client.get("/v1/me/ratings/songs?ids=1,2,3")

        assert too_many.status_code == 400
        for answer in lists:
            assert answer.status_code == unknown.status_code == 404
            assert without_id(answer.content) == without_id(unknown.content)
            assert answer.headers.keys() == unknown.headers.keys()

    def test_a_setting_that_makes_no_sense_is_refused(self, tmp_path):
        command = [sys.executable, "-m", "likewise", "dev", "--data", str(tmp_path / "data")]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment(LIKEWISE_EXTENSIONS="perhaps"),
            timeout=60,
            check=False,
        )

        assert done.returncode == 2
        assert "LIKEWISE_EXTENSIONS" in done.stderr
        assert not (tmp_path / "data").exists()


def without_id(body):
    return re.sub(rb'"id":"[A-Z2-7]{26}"', b"", body)


class TestTheLine:
    def test_it_is_one_line_of_json_with_everything_a_client_needs(self, server):
        facts = server.facts

        assert list(facts) == ["url", "team_id", "key_id", "private_key", "developer_token", "music_user_tokens"]
        assert list(facts["music_user_tokens"]) == ["ada", "ben"]
        assert not facts["url"].endswith("/")
        public_key = read_public_key(Path(facts["private_key"]).read_bytes())
        claims = jwt.decode(facts["developer_token"], public_key, ["ES256"])
        assert claims["iss"] == facts["team_id"]
        assert claims["exp"] - claims["iat"] <= DEVELOPER_TOKEN_SECONDS_MAX
        assert jwt.get_unverified_header(facts["developer_token"])["kid"] == facts["key_id"]

    def test_nothing_else_comes_on_stdout_to_the_end(self, server):
        server.process.send_signal(signal.SIGTERM)
        rest, _ = server.process.communicate(timeout=30)

        assert rest == ""

    def test_without_json_it_greets_with_commands_to_paste(self, tmp_path):
        command = [sys.executable, "-u", "-m", "likewise", "dev", "--port", "0", "--data", str(tmp_path / "data")]
        with running(command) as process:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Data lives in"):
                lines.append(process.stdout.readline())

            curls = [line for line in lines if line.startswith("curl ")]
            assert [("-X PUT" in c, "-X DELETE" in c) for c in curls] == [
                (True, False),
                (False, False),
                (False, False),
                (False, True),
            ]
            answers = [subprocess.run(["bash", "-c", curl], capture_output=True, check=True) for curl in curls]

        assert lines[-1].endswith(f"`likewise dev --data {tmp_path / 'data'} --reset` starts over.\n")
        assert [answer.stderr.strip() for answer in answers] == [b"200", b"200", b"200", b"204"]
        assert answers[0].stdout == answers[1].stdout == answers[2].stdout == DOCUMENTED


class TestTheWire:
    def test_apples_documented_request_gets_apples_documented_answer(self, client):
        response = client.put(SONG, content=LIKE_BODY)

        assert (response.status_code, response.content) == (200, DOCUMENTED)
        assert response.headers["content-length"] == str(len(DOCUMENTED))

    def test_the_library_twin_of_a_rated_song_shows_its_rating(self, client):
        client.put(SONG, content=LIKE_BODY)

        assert client.post("/v1/me/library?ids[songs]=907242702").status_code == 202

        [item] = client.get("/v1/catalog/us/songs/907242702/library").json()["data"]
        [rating] = client.get(f"/v1/me/ratings/library-songs/{item['id']}").json()["data"]
        assert rating["attributes"] == {"value": 1}
        assert rating["id"] == item["id"]

    def test_head_has_the_headers_of_get_and_no_body(self, client):
        client.put(SONG, content=LIKE_BODY)

        head, get = client.head(SONG), client.get(SONG)

        assert head.content == b""
        assert head.headers["content-length"] == get.headers["content-length"]

    def test_delete_has_neither_body_nor_length(self, client):
        client.put(SONG, content=LIKE_BODY)

        response = client.delete(SONG)

        assert (response.status_code, response.content) == (204, b"")
        assert "content-length" not in response.headers

    def test_an_oversized_body_hears_413_whole_or_chunked(self, client):
        too_large = b" " * 65_537

        assert client.put(SONG, content=too_large).status_code == 413
        assert client.put(SONG, content=iter([too_large])).status_code == 413
        assert client.put(SONG, content=b" " * (65_536 - len(LIKE_BODY)) + LIKE_BODY).status_code == 200

    def test_a_stranger_hears_401_without_a_body(self, server):
        response = httpx2.get(server.url + SONG)

        assert (response.status_code, response.content) == (401, b"")
        assert response.headers["content-length"] == "0"

    def test_concurrent_writers_and_readers_lose_nothing(self, server):
        async def rate_all():
            async with httpx2.AsyncClient(base_url=server.url, headers=server.headers()) as client:
                puts = [client.put(f"/v1/me/ratings/songs/{id}", content=LIKE_BODY) for id in range(300)]
                answers = await asyncio.gather(*puts)
                ids = ",".join(map(str, range(300)))
                read = await client.get(f"/v1/me/ratings/songs?ids={ids}")
                return {answer.status_code for answer in answers}, len(read.json()["data"])

        assert asyncio.run(rate_all()) == ({200}, 300)

    def test_two_processes_serve_one_database(self, server, client, tmp_path):
        with dev_server(tmp_path / "data") as other, httpx2.Client(base_url=other.url, headers=server.headers()) as too:
            client.put(SONG, content=LIKE_BODY)
            assert too.get(SONG).content == DOCUMENTED

            assert too.delete(SONG).status_code == 204
            assert client.get(SONG).status_code == 404


class TestTheFolder:
    def test_a_restart_keeps_key_tokens_and_ratings(self, tmp_path):
        with dev_server(tmp_path / "data") as first:
            httpx2.put(first.url + SONG, content=LIKE_BODY, headers=first.headers())
            headers = first.headers()
        with dev_server(tmp_path / "data") as second:
            assert httpx2.get(second.url + SONG, headers=headers).content == DOCUMENTED
            assert second.facts["key_id"] == first.facts["key_id"]
            assert second.facts["music_user_tokens"] == first.facts["music_user_tokens"]

    def test_a_kill_keeps_what_was_acknowledged(self, tmp_path):
        with dev_server(tmp_path / "data") as first:
            httpx2.put(first.url + SONG, content=LIKE_BODY, headers=first.headers())
            first.process.kill()
            first.process.communicate()
        with dev_server(tmp_path / "data") as second:
            assert httpx2.get(second.url + SONG, headers=second.headers()).content == DOCUMENTED

    def test_reset_starts_over(self, tmp_path):
        with dev_server(tmp_path / "data") as first:
            httpx2.put(first.url + SONG, content=LIKE_BODY, headers=first.headers())
        with dev_server(tmp_path / "data", "--reset") as second:
            assert httpx2.get(second.url + SONG, headers=second.headers()).status_code == 404
            assert httpx2.get(second.url + SONG, headers=first.headers()).status_code == 401
            assert second.facts["key_id"] != first.facts["key_id"]

    def test_reset_leaves_alone_what_it_did_not_make(self, tmp_path):
        with dev_server(tmp_path):
            pass
        (tmp_path / "AuthKey_MYAPPLEKEY.p8").write_text("mine")
        (tmp_path / "mine.curl").write_text("mine")
        with dev_server(tmp_path, "--reset"):
            pass

        assert (tmp_path / "AuthKey_MYAPPLEKEY.p8").read_text() == "mine"
        assert (tmp_path / "mine.curl").read_text() == "mine"
        assert len(list(tmp_path.glob("AuthKey_*.p8"))) == 2

    def test_reset_clears_away_what_cannot_be_understood(self, tmp_path):
        (tmp_path / "dev.json").write_text("rubbish")
        (tmp_path / "likewise.db").write_text("rubbish")

        with dev_server(tmp_path, "--reset") as server:
            assert httpx2.get(server.url + SONG, headers=server.headers()).status_code == 404

    def test_a_folder_without_a_name_is_refused(self):
        outcome = run_dev("--port", 0, "--data", "", "--reset")

        assert outcome.returncode == 2
        assert "the data folder has no name" in outcome.stderr

    def test_several_first_runs_at_once_agree_on_keys_and_tokens(self, tmp_path):
        with ThreadPoolExecutor(3) as threads, ExitStack() as stack:
            starting = [threads.submit(stack.enter_context, dev_server(tmp_path / "data")) for _ in range(3)]
            servers = [each.result() for each in starting]

            assert len({server.facts["key_id"] for server in servers}) == 1
            for server in servers:
                assert httpx2.get(server.url + SONG, headers=servers[0].headers()).status_code == 404

    @pytest.mark.usefixtures("server")
    def test_reset_is_refused_while_another_dev_uses_the_folder(self, tmp_path):
        outcome = run_dev("--port", 0, "--data", tmp_path / "data", "--reset")

        assert outcome.returncode == 2
        assert "another `likewise dev` uses" in outcome.stderr

    def test_every_file_is_for_its_owner_alone_and_the_database_holds_hashes(self, server, client, tmp_path):
        client.put(SONG, content=LIKE_BODY)

        files = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        database = b"".join(path.read_bytes() for path in files if path.name.startswith("likewise.db"))
        for token in server.facts["music_user_tokens"].values():
            assert token.encode() not in database

    def test_what_was_lost_or_revoked_is_made_anew(self, tmp_path):
        data = tmp_path / "data"
        with dev_server(data) as first:
            pass
        (data / f"AuthKey_{first.facts['key_id']}.p8").unlink()
        connection = sqlite3.connect(data / "likewise.db")
        connection.execute("UPDATE user_tokens SET revoked = 1")
        connection.commit()
        connection.close()

        with dev_server(data) as second:
            response = httpx2.get(second.url + SONG, headers=second.headers())

        assert response.status_code == 404
        assert second.facts["key_id"] != first.facts["key_id"]
        assert second.facts["team_id"] == first.facts["team_id"]

    def test_a_revoked_key_is_replaced(self, tmp_path):
        data = tmp_path / "data"
        with dev_server(data) as first:
            pass
        command = [sys.executable, "-m", "likewise", "key", "revoke", first.facts["key_id"]]
        subprocess.run([*command, "--database", f"sqlite:///{data}/likewise.db"], check=True, env=environment())

        with dev_server(data) as second:
            assert httpx2.get(second.url + SONG, headers=second.headers()).status_code == 404

    @pytest.mark.parametrize("content", [b"rubbish", b"{}", b'{"team_id":1}', b"\xff"])
    def test_a_broken_dev_json_is_said_so(self, tmp_path, content):
        (tmp_path / "dev.json").write_bytes(content)

        outcome = run_dev("--port", 0, "--data", tmp_path)

        assert outcome.returncode == 2
        assert "dev.json cannot be understood" in outcome.stderr
        assert f"`likewise dev --data {tmp_path} --reset`" in outcome.stderr

    def test_a_folder_that_cannot_be_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("")

        outcome = run_dev("--port", 0, "--data", tmp_path / "file" / "folder")

        assert outcome.returncode == 2
        assert outcome.stderr.startswith("error: the data folder ")

    def test_a_file_that_cannot_be_written_is_said_so_and_leaves_nothing_half_written(self, tmp_path):
        (tmp_path / "ada.curl").mkdir()

        outcome = run_dev("--port", 0, "--data", tmp_path)

        assert outcome.returncode == 2
        assert outcome.stderr.startswith("error: the data folder ")
        assert not list(tmp_path.glob(".likewise-*"))

    def test_a_database_that_is_none_is_refused(self, tmp_path):
        (tmp_path / "likewise.db").write_bytes(b"rubbish" * 1000)

        outcome = run_dev("--port", 0, "--data", tmp_path)

        assert outcome.returncode == 1
        assert "is no SQLite database" in outcome.stderr

    def test_without_data_it_lives_in_the_platforms_data_folder(self, tmp_path):
        command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0"]
        with running(command, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "share")) as process:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())

        assert facts["private_key"].startswith(str(tmp_path))
        assert Path(facts["private_key"]).parent.name == "likewise"


class TestStartingAndStopping:
    def test_a_port_in_use_is_refused(self, server, tmp_path):
        outcome = run_dev("--port", server.url.rsplit(":", 1)[1], "--data", tmp_path / "other")

        assert outcome.returncode == 1
        assert "is in use" in outcome.stderr
        assert "hint: stop what listens there, or give another --port" in outcome.stderr
        assert not (tmp_path / "other").exists()

    @pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_with_0(self, server, signal_number):
        code, errors = server.stop(signal_number)

        assert code == 0
        assert "Traceback" not in errors
        assert errors.endswith("likewise has stopped\n")

    def test_what_is_in_flight_is_finished_first(self, server):
        host, port = server.url.removeprefix("http://").split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in server.headers().items())
        with socket.create_connection((host, int(port))) as connection:
            connection.settimeout(30)
            head += f"Content-Length: {len(LIKE_BODY)}\r\nExpect: 100-continue\r\n"
            connection.sendall(f"PUT {SONG} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
            assert connection.recv(1_000).startswith(b"HTTP/1.1 100")  # the handler is waiting for the body
            server.process.send_signal(signal.SIGTERM)
            connection.sendall(LIKE_BODY)
            answer = b""
            while chunk := connection.recv(1_000):
                answer += chunk

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.endswith(DOCUMENTED)
        assert server.process.wait(timeout=30) == 0

    def test_a_second_signal_does_not_wait_for_what_is_in_flight(self, server):
        host, port = server.url.removeprefix("http://").split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in server.headers().items())
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head += "Content-Length: 100\r\nExpect: 100-continue\r\n"
            connection.sendall(f"PUT {SONG} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
            assert connection.recv(1_000).startswith(b"HTTP/1.1 100")
            server.process.send_signal(signal.SIGINT)
            time.sleep(SAME_SIGNAL_SECONDS + 0.5)  # so that it is a second one
            code, errors = server.stop(signal.SIGINT)

        assert code == 0
        assert "told twice to stop" in errors
        assert errors.endswith("likewise has stopped\n")

    def test_it_listens_on_ipv6_too(self, tmp_path):
        if not socket.has_ipv6:  # pragma: no cover - depends on the machine
            pytest.skip("this machine has no IPv6")
        with dev_server(tmp_path / "data", "--host", "::1") as server:
            assert server.url.startswith("http://[::1]:")
            assert httpx2.get(server.url + "/v1/test", headers=server.headers()).status_code == 200
