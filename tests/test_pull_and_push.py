"""`likewise pull` and `likewise push`: a whole account out of a server and into another, cut short and gone on with."""

import fcntl
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys

import pytest

from likewise import Client
from likewise.cli import calling, main
from tests.client.apple import apple_server
from tests.e2e.server import dev_server, environment

QUICK = ("--per-second", "1000")


@pytest.fixture
def apple():
    with apple_server() as account:
        yield account


@pytest.fixture
def likewise(tmp_path, monkeypatch, capsys, apple):
    """The command in this process, whose server is the stand-in for Apple."""
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calling, "default_folder", lambda: tmp_path / "nowhere")
    monkeypatch.setattr(calling, "_profiles_folder", lambda: tmp_path / "nowhere")
    monkeypatch.setenv("LIKEWISE_URL", apple.url)
    monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
    monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
    monkeypatch.setenv("LIKEWISE_DATABASE", f"sqlite:///{tmp_path}/likewise.db")

    def run(*arguments):
        pace = QUICK if arguments[0] in {"pull", "push"} and "--per-second" not in arguments else ()
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments), *pace])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def fill(apple, songs=3):
    """A library with linked songs, an upload, an album and a playlist without a name, some of them rated."""
    for number in range(songs):
        apple.add("songs", f"i.s{number}", str(1_000 + number), name=f"Song {number}", artistName="A", albumName="B")
        if number % 2 == 0:
            apple.ratings["songs", str(1_000 + number)] = 1
    apple.add("songs", "i.upload", name="Mine")
    apple.ratings["library-songs", "i.upload"] = -1
    apple.add("albums", "l.a", "500", name="Album")
    apple.ratings["library-albums", "l.a"] = -1  # only the library's address says so
    apple.add("playlists", "p.p")


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestPullIntoAFile:
    def test_ratings_library_and_names(self, likewise, apple, tmp_path):
        fill(apple)

        code, out, err = likewise("pull", "likes.ndjson")

        assert (code, out, err) == (0, "", "pulled 4 ratings, of 6 items in the library\n")
        lines = lines_of(tmp_path / "likes.ndjson")
        assert lines[0] == {
            "type": "library-songs", "id": "i.s0", "catalog_id": "1000", "added": "2020-05-04T03:02:01.000Z",
            "title": "Song 0", "artist": "A", "album": "B",
        }  # fmt: skip
        assert {(line["type"], line["id"]): line["value"] for line in lines if "value" in line} == {
            ("songs", "1000"): 1,
            ("songs", "1002"): 1,
            ("library-songs", "i.upload"): -1,
            ("albums", "500"): -1,
        }
        assert {"type": "songs", "id": "1000", "value": 1, "title": "Song 0", "artist": "A", "album": "B"} in lines
        assert {"type": "library-playlists", "id": "p.p", "added": "2020-05-04T03:02:01.000Z"} in lines
        assert stat.S_IMODE((tmp_path / "likes.ndjson").stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["likes.ndjson"]

    def test_the_file_can_be_imported(self, likewise, apple):
        fill(apple)
        likewise("pull", "likes.ndjson")
        likewise("listener", "add", "ada")

        code, out, _ = likewise("import", "likes.ndjson", "--json")

        assert code == 0
        [counts] = json.loads(out)
        assert (counts["new"], counts["bad"], counts["unmatched"]) == (9, 0, 0)  # 4 ratings, 5 items of the library
        library = json.loads(likewise("library", "list", "ada", "--json")[1])
        assert ("i.s0", "1000") in {(row["library_id"], row["catalog_id"]) for row in library}

    def test_where_both_addresses_are_rated_the_catalogs_counts(self, likewise, apple, tmp_path):
        apple.add("songs", "i.a", "1")
        apple.ratings |= {("songs", "1"): -1, ("library-songs", "i.a"): 1}

        likewise("pull", "likes.ndjson")

        assert [line["value"] for line in lines_of(tmp_path / "likes.ndjson") if "value" in line] == [-1]

    def test_one_that_was_cut_short_goes_on(self, likewise, apple, tmp_path):
        fill(apple, songs=250)
        likewise("pull", "whole.ndjson")
        whole = len(apple.requests)
        for requests in (1, 5, 4):
            apple.requests.clear()
            apple.requests_max = requests
            code, _, err = likewise("pull", "likes.ndjson")
            assert code == 1
            assert "error: the server wants fewer requests\n" in err
            assert not (tmp_path / "likes.ndjson").exists()

        apple.requests.clear()
        apple.requests_max = 10**9
        code, out, err = likewise("pull", "likes.ndjson", "--json")

        assert code == 0
        assert err.startswith("going on at library-songs, after 200 items\n")
        assert len(apple.requests) < whole - 5
        assert (tmp_path / "likes.ndjson").read_text() == (tmp_path / "whole.ndjson").read_text()
        assert json.loads(out) == {"items": 253, "ratings": 127}

    def test_what_a_page_left_half_written_is_written_anew(self, likewise, apple, tmp_path):
        fill(apple, songs=250)
        likewise("pull", "whole.ndjson")
        apple.requests.clear()
        apple.requests_max = 4
        likewise("pull", "likes.ndjson")
        with (tmp_path / "likes.ndjson.part").open("ab") as part:
            part.write(b'{"type":"so')
        apple.requests_max = 10**9
        likewise("pull", "likes.ndjson")

        assert (tmp_path / "likes.ndjson").read_text() == (tmp_path / "whole.ndjson").read_text()

    @pytest.mark.parametrize("change", ["account", "state", "part", "href", "kind"])
    def test_what_cannot_be_gone_on_with_begins_anew(self, likewise, apple, tmp_path, monkeypatch, change):
        fill(apple, songs=250)
        likewise("pull", "whole.ndjson")
        apple.requests.clear()
        apple.requests_max = 4
        likewise("pull", "likes.ndjson")
        state = tmp_path / "likes.ndjson.state"
        document = json.loads(state.read_text())
        match change:
            case "account":
                monkeypatch.setenv("LIKEWISE_USER_TOKEN", "somebody-else")
            case "state":
                state.write_text("{")
            case "part":
                (tmp_path / "likes.ndjson.part").write_text("")
            case "href":
                state.write_text(json.dumps(document | {"href": "//evil.example/v1/"}))
            case "kind":
                state.write_text(json.dumps(document | {"kind": "songs"}))
        apple.requests_max = 10**9

        code, _, err = likewise("pull", "likes.ndjson")

        assert code == 0
        assert "going on" not in err
        assert (tmp_path / "likes.ndjson").read_text() == (tmp_path / "whole.ndjson").read_text()

    @pytest.mark.parametrize("has_state", [True, False])
    def test_one_at_a_time_writes_a_file(self, likewise, apple, tmp_path, has_state):
        fill(apple, songs=250)
        apple.requests_max = 4
        likewise("pull", "likes.ndjson")
        apple.requests_max = 10**9
        if not has_state:
            (tmp_path / "likes.ndjson.state").unlink()
        part = tmp_path / "likes.ndjson.part"
        before = part.read_bytes()

        with part.open("rb") as another:
            fcntl.flock(another, fcntl.LOCK_EX)
            code, _, err = likewise("pull", "likes.ndjson")

        assert code == 1
        assert "error: another `likewise pull` writes likes.ndjson now\n" in err
        assert part.read_bytes() == before
        assert likewise("pull", "likes.ndjson")[0] == 0

    def test_a_file_that_cannot_be_written_is_said(self, likewise):
        code, _, err = likewise("pull", "nowhere/likes.ndjson")

        assert code == 1
        assert err.startswith("error: the file nowhere/likes.ndjson cannot be written (No such file or directory)\n")

    def test_it_must_be_clear_where_they_go(self, likewise):
        for arguments in ((), ("likes.ndjson", "--listener", "ada")):
            assert likewise("pull", *arguments)[0] == 2


class TestPullIntoADatabase:
    def test_ratings_links_and_names(self, likewise, apple, tmp_path):
        fill(apple)
        likewise("listener", "add", "ada")

        assert likewise("pull", "--listener", "ada")[2] == "pulled 4 ratings, of 6 items in the library\n"
        library = json.loads(likewise("library", "list", "ada", "--json")[1])
        assert {row["library_id"]: row["catalog_id"] for row in library} == {
            "i.s0": "1000", "i.s1": "1001", "i.s2": "1002", "i.upload": None, "l.a": "500",
        }  # fmt: skip
        with sqlite3.connect(tmp_path / "likewise.db") as database:
            [(ratings,)] = database.execute("SELECT count(*) FROM ratings WHERE value IS NOT NULL")
            assert ratings == 4
        assert b"Song 0" in b"".join(path.read_bytes() for path in tmp_path.glob("likewise.db*"))

    def test_again_changes_nothing_and_a_removed_item_stays_removed(self, likewise, apple, tmp_path):
        fill(apple)
        likewise("listener", "add", "ada")
        likewise("pull", "--listener", "ada")
        likewise("library", "unlink", "ada", "songs", "i.s0")
        before = changes(tmp_path)

        assert likewise("pull", "--listener", "ada")[0] == 0
        assert changes(tmp_path) == before

    def test_nobody_of_that_name(self, likewise):
        likewise("listener", "add", "ada")

        assert likewise("pull", "--listener", "eve")[2].startswith("error: there is no listener 'eve'")


def changes(tmp_path):
    with sqlite3.connect(tmp_path / "likewise.db") as database:
        return database.execute("SELECT * FROM ratings ORDER BY 1, 2, 3").fetchall()


class TestPush:
    def test_only_what_differs_is_written(self, likewise, apple, tmp_path):
        write(tmp_path, songs(250))
        apple.ratings |= {("songs", str(id)): 1 for id in range(100)} | {("songs", "200"): -1, ("songs", "999"): -1}

        code, out, err = likewise("push", "likes.ndjson")

        assert (code, out, err) == (0, "", "wrote 150 ratings; 100 were there already\n")
        assert apple.ratings == {("songs", str(id)): 1 for id in range(250)} | {("songs", "999"): -1}
        assert sum(request.startswith("PUT") for request in apple.requests) == 150
        assert (
            likewise("push", "likes.ndjson", "--json")[1] == '{"written": 0, "same": 250, "absent": 0, "refused": 0}\n'
        )

    def test_a_dry_run_says_what_would_change_and_changes_nothing(self, likewise, apple, tmp_path):
        write(tmp_path, [*songs(2), {"type": "albums", "id": "5", "value": -1}])
        apple.ratings |= {("songs", "0"): 1, ("albums", "5"): 1}

        assert likewise("push", "likes.ndjson", "--dry-run")[1] == (
            "type    id  before  after\nsongs   1           like\nalbums  5   like    dislike\n"
        )
        assert json.loads(likewise("push", "likes.ndjson", "--dry-run", "--json")[1]) == [
            {"type": "songs", "id": "1", "before": None, "after": 1},
            {"type": "albums", "id": "5", "before": 1, "after": -1},
        ]
        assert not any(request.startswith("PUT") for request in apple.requests)

    def test_one_that_was_cut_short_goes_on(self, likewise, apple, tmp_path):
        write(tmp_path, songs(20))
        apple.requests_max = 10

        code, _, err = likewise("push", "likes.ndjson", "--per-second", "1000")
        assert code == 1
        assert err.startswith("wrote 9 ratings before that; run it again to go on\nerror: the server wants fewer")
        apple.requests_max = 10**9

        assert likewise("push", "likes.ndjson")[2] == "wrote 11 ratings; 9 were there already\n"

    def test_library_items_of_another_account_are_left_alone(self, likewise, apple, tmp_path):
        apple.add("songs", "i.mine")
        write(tmp_path, [{"type": "library-songs", "id": id, "value": 1} for id in ("i.mine", "i.other")])

        assert (
            likewise("push", "likes.ndjson")[2]
            == "wrote 1 rating; 0 were there already, 1 is not in the account's library\n"
        )
        assert apple.ratings == {("library-songs", "i.mine"): 1}

    def test_what_the_server_refuses_is_said_and_the_rest_goes_on(self, likewise, apple, tmp_path):
        write(tmp_path, songs(8))
        apple.unratable |= {str(id) for id in range(7)}

        code, _, err = likewise("push", "likes.ndjson")

        assert code == 0
        assert err.count("was refused: ") == 5
        assert err.endswith("wrote 1 rating; 0 were there already, 7 were refused\n")

    def test_the_last_line_about_an_item_counts_and_others_are_passed_over(self, likewise, apple, tmp_path):
        song = {"type": "songs", "id": "1"}
        write(
            tmp_path,
            [song | {"value": 1}, {"type": "library-songs", "id": "i.a", "catalog_id": "1"}, song | {"value": -1}],
        )

        likewise("push", "likes.ndjson")

        assert apple.ratings == {("songs", "1"): -1}

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            ("rubbish", "error: line 3 is no rating in JSON\n"),
            ('{"type":"song","id":"1","value":1}', "error: line 3 has a type, an id or a value that no rating has\n"),
            ('{"type":"songs","id":"x","value":1}', "error: line 3 has a type, an id or a value that no rating has\n"),
            ('{"type":"songs","id":"1","value":2}', "error: line 3 has a type, an id or a value that no rating has\n"),
        ],
    )
    def test_a_line_that_makes_no_sense_stops_it_before_anything_is_written(
        self, likewise, apple, tmp_path, line, error
    ):
        (tmp_path / "likes.ndjson").write_text(f'{{"type":"songs","id":"1","value":1}}\n\n{line}\n')

        code, _, err = likewise("push", "likes.ndjson")

        assert code == 1
        assert err.startswith(error)
        assert err.endswith("\nhint: give what `likewise pull` or `likewise export --format ndjson` wrote\n")
        assert apple.requests == []

    def test_a_file_that_is_not_there(self, likewise):
        assert likewise("push", "nowhere")[2].startswith("error: the file nowhere cannot be read (No such file")

    def test_it_must_be_clear_whose_they_are(self, likewise):
        assert likewise("push")[0] == 2

    @pytest.mark.parametrize("per_second", ["0", "-1", "1001", "nan"])
    def test_its_pace_is_one(self, likewise, tmp_path, per_second):
        write(tmp_path, songs(1))

        assert likewise("push", "likes.ndjson", "--per-second", per_second)[0] == 2


def songs(number):
    return [{"type": "songs", "id": str(id), "value": 1, "time": "2026-11-02T14:05:09.123Z"} for id in range(number)]


def write(tmp_path, lines):
    (tmp_path / "likes.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_out_of_one_server_and_into_another(tmp_path):
    def run(server, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", "likewise", *arguments, *QUICK],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=tmp_path,
            env=environment(
                LIKEWISE_URL=server.url,
                LIKEWISE_DEVELOPER_TOKEN=server.facts["developer_token"],
                LIKEWISE_USER_TOKEN=server.facts["music_user_tokens"]["ada"],
                LIKEWISE_DATABASE=f"sqlite:///{tmp_path}/two/likewise.db",
            ),
        )
        return done.stdout + done.stderr

    with dev_server(tmp_path / "one") as one, dev_server(tmp_path / "two") as two:
        tokens = one.facts["developer_token"], one.facts["music_user_tokens"]["ada"]
        with Client(*tokens, base_url=one.url) as client:
            client.add_to_library("songs", [str(id) for id in range(1, 121)])
            client.add_favorites("songs", [str(id) for id in range(1, 61)])
            client.put_rating("library-songs", "i.upload", -1)

        assert run(one, "pull", "likes.ndjson") == "pulled 61 ratings, of 121 items in the library\n"
        assert run(one, "pull", "--listener", "ben") == "pulled 61 ratings, of 121 items in the library\n"
        assert (
            run(two, "push", "likes.ndjson")
            == "wrote 60 ratings; 0 were there already, 1 is not in the account's library\n"
        )
        assert (
            run(two, "push", "--listener", "ben")
            == "wrote 0 ratings; 60 were there already, 1 is not in the account's library\n"
        )


def test_into_a_server_that_is_killed_in_the_middle(tmp_path):
    write(tmp_path, songs(300))
    command = [sys.executable, "-m", "likewise", "push", "likes.ndjson", "--per-second", "100"]

    def push(server):
        variables = environment(
            LIKEWISE_URL=server.url,
            LIKEWISE_DEVELOPER_TOKEN=server.facts["developer_token"],
            LIKEWISE_USER_TOKEN=server.facts["music_user_tokens"]["ada"],
        )
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=variables)

    with dev_server(tmp_path / "data") as server, push(server) as first:
        with Client(*tokens_of(server), base_url=server.url) as client:
            while len(client.get_ratings("songs", [str(id) for id in range(300)])) < 20:
                pass
        server.process.kill()
        _, told = first.communicate(timeout=60)
    with dev_server(tmp_path / "data") as server, push(server) as second:
        _, sentence = second.communicate(timeout=60)
        with Client(*tokens_of(server), base_url=server.url) as client:
            assert len(client.get_ratings("songs", [str(id) for id in range(300)])) == 300

    written = re.match(r"wrote (\d+) ratings before that; run it again to go on\nerror: .* cannot be reached\n", told)
    assert (first.returncode, second.returncode) == (1, 0)
    assert written is not None
    # What was written and not answered any more may be there, and is not written again.
    there = re.fullmatch(r"wrote (\d+) ratings; (\d+) were there already\n", sentence)
    assert there is not None
    assert int(there[1]) + int(there[2]) == 300
    assert int(there[2]) - int(written[1]) in {0, 1}


def tokens_of(server):
    return server.facts["developer_token"], server.facts["music_user_tokens"]["ada"]
