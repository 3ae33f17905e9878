"""`likewise rate`, `show` and `list` as one types them, against a `likewise dev` that they find by themselves."""

import json
import subprocess
import sys

import pytest

from likewise import Client
from likewise.domain import KINDS
from tests.client.servers import answer, faulty_server
from tests.e2e.server import dev_server, environment, running
from tests.e2e.test_docs import ROOT, check, needs_tools, run_in_one_shell, steps_of

SONG = "907242702"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder where `likewise dev` runs."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0"]
    with running(command, **at_home(home)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield home


def at_home(home):
    return {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config")}


@pytest.fixture
def likewise(home):
    def run(*arguments, stdin=b"", **extra):
        return run_at(home, *arguments, stdin=stdin, **extra)

    return run


def run_at(home, *arguments, stdin=b"", **extra):
    done = subprocess.run(
        [sys.executable, "-m", "likewise", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        env=environment(**at_home(home), **extra),
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class TestRateAndShow:
    def test_like_dislike_and_clear(self, likewise):
        assert likewise("rate", "songs", SONG, "like") == (0, "", f"liked songs {SONG}\n")
        assert likewise("show", "songs", SONG, "1") == (
            0,
            f"type   id         value\nsongs  {SONG}  like\nsongs  1\n",
            "",
        )
        assert likewise("rate", "songs", SONG, "dislike", "--json")[1] == (
            f'{{"type": "songs", "id": "{SONG}", "value": -1}}\n'
        )
        assert json.loads(likewise("show", "songs", SONG, "--json")[1]) == [{"type": "songs", "id": SONG, "value": -1}]
        assert likewise("rate", "songs", SONG, "clear")[2] == f"cleared songs {SONG}\n"
        assert likewise("rate", "songs", SONG, "clear") == (0, "", f"songs {SONG} was not rated\n")

    def test_somebody_else(self, likewise):
        likewise("rate", "albums", "1", "like", "--as", "ben")

        assert json.loads(likewise("show", "albums", "1", "--json")[1])[0]["value"] is None
        assert json.loads(likewise("show", "albums", "1", "--json", "--as", "ben")[1])[0]["value"] == 1

    def test_ids_from_standard_input(self, likewise):
        ids = "".join(f"{id}\n" for id in range(1, 251))

        code, out, _ = likewise("show", "songs", "-", "--json", stdin=ids.encode() + b"\n")

        assert code == 0
        assert [row["id"] for row in json.loads(out)] == ids.split()
        assert likewise("show", "songs", "-", stdin=b"\xff\n")[2].startswith("error: standard input is no UTF-8\n")
        assert likewise("show", "songs", "-") == (0, "", "no id was given\n")

    @pytest.mark.parametrize(
        ("arguments", "error", "hint"),
        [
            (("rate", "song", "1", "like"), "'song' is no type", "did you mean songs?"),
            (("rate", "Library_Song", "1", "like"), "'Library_Song' is no type", "did you mean library-songs?"),
            (
                ("show", "zzz", "1"),
                "'zzz' is no type",
                f"give one of: {', '.join(KINDS)}",
            ),
            (
                ("rate", "songs", "i.7PJN", "like"),
                "'i.7PJN' is no id of songs",
                "it would be one of: library-songs, library-music-videos",
            ),
            (
                ("show", "songs", "1", "x/y"),
                "'x/y' is no id of songs",
                "see docs/api.md for what ids of songs look like",
            ),
        ],
    )
    def test_what_is_misspelled_is_misuse_with_a_guess(self, likewise, arguments, error, hint):
        assert likewise(*arguments) == (2, "", f"error: {error}\n\nhint: {hint}\n")

    def test_types_are_completed(self, likewise):
        code, out, _ = likewise(_LIKEWISE_COMPLETE="bash_complete", COMP_WORDS="likewise show library-", COMP_CWORD="2")

        assert code == 0
        assert "plain,library-albums" in out


class TestWithoutAServer:
    def test_nobody_to_ask(self, tmp_path):
        code, out, err = run_at(tmp_path, "show", "songs", "1")

        assert (code, out) == (2, "")
        assert err.startswith(
            "error: no server is named, and no `likewise dev` runs here\n\nhint: start `likewise dev`"
        )

    def test_a_server_that_is_gone_for_good(self, tmp_path):
        with dev_server(tmp_path / "data/likewise") as server:
            assert run_at(tmp_path, "show", "songs", "1")[0] == 0
            server.process.kill()
            server.process.wait()
            assert list((tmp_path / "data/likewise").glob("dev.running.*"))

            assert run_at(tmp_path, "show", "songs", "1")[2].startswith("error: no server is named")

    @pytest.mark.parametrize(
        ("answers", "error"),
        [
            (
                [answer(401)],
                "error: the server does not accept the developer token\n\nhint: is it for this server, and",
            ),
            (
                [answer(403)],
                "error: the server does not accept the music user token\n\nhint: is it for this server and",
            ),
            (
                [answer(429, b"", "Retry-After: 99")],
                "error: the server wants fewer requests\n\nhint: try again in 99 sec",
            ),
            ([answer(302)], "error: the server sends us elsewhere, where the tokens must not go\n\nhint: "),
            ([answer(200, b"<html>")], "error: the server's answer cannot be understood\n\nhint: "),
        ],
    )
    def test_a_server_that_refuses(self, tmp_path, answers, error):
        tokens = {"LIKEWISE_DEVELOPER_TOKEN": "secret.one", "LIKEWISE_USER_TOKEN": "secret.two"}
        with faulty_server(answers) as server:
            code, out, err = run_at(tmp_path, "show", "songs", "1", "--url", server.url, **tokens)

        assert (code, out) == (1, "")
        assert err.startswith(error)
        assert "secret" not in err
        assert "HTTP Request" not in err


class TestList:
    def run(self, tmp_path, answers, *arguments):
        tokens = {"LIKEWISE_DEVELOPER_TOKEN": "d", "LIKEWISE_USER_TOKEN": "u"}
        with faulty_server(answers) as server:
            return run_at(tmp_path, "list", *arguments, "--url", server.url, **tokens), server.lines

    def test_ratings_newest_first(self, tmp_path):
        attributes = {"value": 1, "ratedAt": "2026-11-02T14:05:09.123Z", "name": "Song", "artistName": "Artist"}
        document = {"data": [{"id": "2", "href": "/v1/me/ratings/songs/2", "attributes": attributes}] * 3}
        page = answer(200, json.dumps(document).encode())

        (code, out, err), lines = self.run(tmp_path, [page], "--type", "songs", "--value", "like", "--limit", "1")
        assert (code, err) == (0, "")
        assert out == (
            "type   id  value  rated                     name  artist  library id\n"
            "songs  2   like   2026-11-02T14:05:09.123Z  Song  Artist\n"
        )
        assert lines == ["GET /v1/me/ratings?limit=100&filter%5Btype%5D=songs&filter%5Bvalue%5D=1 HTTP/1.1"]
        (code, out, err), _ = self.run(tmp_path, [page], "--json")
        assert len(json.loads(out)) == 3
        assert json.loads(out)[0]["value"] == 1

    def test_nothing(self, tmp_path):
        (code, out, err), _ = self.run(tmp_path, [answer(200, b'{"data":[]}')])

        assert (code, out, err) == (0, "", "nothing is rated\n")

    @pytest.mark.parametrize(("status", "code"), [(404, "40401"), (405, "40500")])
    def test_a_server_that_has_no_list(self, tmp_path, status, code):
        body = json.dumps({"errors": [{"code": code}]}).encode()

        (exit_code, out, err), _ = self.run(tmp_path, [answer(status, body)])

        assert (exit_code, out) == (1, "")
        assert err.startswith("error: this server cannot list ratings\n\nhint: ")


def test_a_reset_leaves_no_announcement(tmp_path):
    data = tmp_path / "data"
    with dev_server(data) as server:
        server.process.kill()
        server.process.wait()
    [left] = data.glob("dev.running.*")

    with dev_server(data, "--reset"):
        assert not left.exists()
        assert len(list(data.glob("dev.running.*"))) == 1
    assert not list(data.glob("dev.running.*"))


@needs_tools
def test_the_examples_of_the_documentation(tmp_path):
    steps = steps_of(ROOT / "docs/client.md")
    folders = {name: path for name, path in at_home(tmp_path).items() if name != "HOME"}
    command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0"]

    with running(command, **at_home(tmp_path)) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        with Client(facts["developer_token"], facts["music_user_tokens"]["ada"], base_url=facts["url"]) as ada:
            ada.add_to_library("songs", ["1193701079"])
            ada.put_rating("songs", "1193701079", 1)
        outputs = run_in_one_shell([step.command for step in steps], tmp_path, **folders)

    assert len(steps) >= 7
    check(steps, outputs)
