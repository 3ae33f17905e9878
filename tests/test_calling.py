"""Which server a command asks, and with whose tokens: never with those for another."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from likewise.cli import calling, running
from likewise.cli.calling import Access, explained, find_access
from likewise.client import SigningKey
from likewise.errors import BadDeveloperToken, BadKey, BadSetting, BadUserToken, CallFailed, TooManyRequests
from tests.house import KEY_ID, TEAM_ID

URL = "http://music.example"
TOKENS = {"LIKEWISE_DEVELOPER_TOKEN": "dev.el.oper", "LIKEWISE_USER_TOKEN": "user"}
HERE = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Data and configuration of nobody but the test."""
    (tmp_path / "data").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.setattr(calling, "default_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(calling, "_profiles_folder", lambda: tmp_path / "config")
    return tmp_path


@pytest.fixture
def neighbour(folders, private_key):
    """A `likewise dev` that has announced itself."""
    data = folders / "data"
    (data / f"AuthKey_{KEY_ID}.p8").write_bytes(private_key)
    facts = {"team_id": TEAM_ID, "key_id": KEY_ID, "music_user_tokens": {"ada": "adas", "ben": "bens"}}
    (data / "dev.json").write_text(json.dumps(facts))
    with running.announced(data, HERE):
        yield data


def write_profile(folders, text, name="default", mode=0o600):
    path = folders / "config" / f"{name}.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


PROFILE = 'url = "http://home.example/"\ndeveloper_token = "d"\nuser_token = "u"\n'


def refused(**options):
    environment = options.pop("environment", {})
    with pytest.raises(BadSetting) as refusal:
        find_access(environment, **options)
    assert refusal.value.hint
    return str(refusal.value)


class TestVariables:
    def test_url_and_tokens(self):
        assert find_access({"LIKEWISE_URL": URL + "/", **TOKENS}) == Access(URL, "dev.el.oper", "user")

    def test_the_flag_wins_over_the_variable(self):
        assert find_access({"LIKEWISE_URL": URL, **TOKENS}, url="http://other").url == "http://other"

    def test_files(self, tmp_path):
        (tmp_path / "developer").write_text(" from.a.file\n")
        (tmp_path / "user").write_text("mine\n")
        environment = {f"{name}_FILE": str(tmp_path / name.split("_")[1].lower()) for name in TOKENS}

        assert find_access(environment, url=URL) == Access(URL, "from.a.file", "mine")

    def test_a_flags_file_wins_over_variables(self, tmp_path):
        (tmp_path / "user").write_text("mine")

        assert find_access(TOKENS, url=URL, user_token_file=str(tmp_path / "user")).user_token == "mine"

    def test_a_key(self, tmp_path, private_key):
        path = tmp_path / f"AuthKey_{KEY_ID}.p8"
        path.write_bytes(private_key)
        environment = {"LIKEWISE_KEY_FILE": str(path), "LIKEWISE_TEAM_ID": TEAM_ID, "LIKEWISE_USER_TOKEN": "user"}

        access = find_access(environment, url=URL)

        assert isinstance(access.developer_token, SigningKey)
        assert access.developer_token.key_id == KEY_ID

    @pytest.mark.parametrize(
        ("environment", "options", "sentence"),
        [
            (TOKENS, {}, "there are tokens, but no server is named"),
            ({"LIKEWISE_USER_TOKEN": "user"}, {"url": URL}, "there is no developer token"),
            ({"LIKEWISE_DEVELOPER_TOKEN": "d"}, {"url": URL}, "there is no music user token"),
            (
                TOKENS | {"LIKEWISE_USER_TOKEN_FILE": "x"},
                {"url": URL},
                "both LIKEWISE_USER_TOKEN and LIKEWISE_USER_TOKEN_FILE are set",
            ),
            ({"LIKEWISE_USER_TOKEN_FILE": "/nowhere"}, {"url": URL}, "the file for LIKEWISE_USER_TOKEN cannot be read"),
            ({}, {"url": URL, "developer_token_file": "\0"}, "the file for LIKEWISE_DEVELOPER_TOKEN cannot be read"),
            ({"LIKEWISE_KEY_FILE": "x.p8"}, {"url": URL}, "there is a key, but no team id"),
            (TOKENS, {"url": "nowhere"}, "the base URL is no http or https URL of a server"),
            ({}, {"developer_token_file": "-", "user_token_file": "-"}, "both tokens are to come from standard input"),
        ],
    )
    def test_what_is_not_enough_is_said(self, environment, options, sentence):
        assert refused(environment=environment, **options) == sentence

    def test_a_key_file_that_is_none_is_said(self):
        with pytest.raises(BadKey):
            find_access({"LIKEWISE_KEY_FILE": "/nowhere", "LIKEWISE_TEAM_ID": TEAM_ID}, url=URL)


class TestProfiles:
    def test_the_default_one_needs_no_name(self, folders):
        write_profile(folders, PROFILE)

        assert find_access({}) == Access("http://home.example", "d", "u")

    def test_one_by_name_wins_over_tokens_in_variables(self, folders):
        write_profile(folders, PROFILE, "home")

        for options in ({"profile": "home"}, {"environment": "home"}):
            environment = TOKENS | (
                {"LIKEWISE_PROFILE": options.pop("environment")} if "environment" in options else {}
            )
            assert find_access(environment, **options).url == "http://home.example"

    def test_with_a_key_beside_it(self, folders, private_key):
        (folders / "config" / "key.p8").write_bytes(private_key)
        text = f'url="{URL}"\nuser_token="u"\nkey_file="key.p8"\nteam_id="{TEAM_ID}"\nkey_id="{KEY_ID}"'
        write_profile(folders, text)

        assert isinstance(find_access({}).developer_token, SigningKey)

    def test_its_tokens_are_for_its_server_alone(self, folders):
        write_profile(folders, PROFILE)

        assert find_access({}, url="http://home.example").developer_token == "d"
        assert refused(url="http://home.example.evil") == "there is no developer token for http://home.example.evil"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
    def test_one_that_others_can_read_is_refused(self, folders, mode):
        path = write_profile(folders, PROFILE, mode=mode)

        assert refused() == f"the profile {path} can be read by others"

    @pytest.mark.parametrize(
        ("text", "about"),
        [
            ("url = ", "cannot be read"),
            ('url = "x"\nuser = "y"', "holds what is no setting of it"),
            ("url = 1", "holds what is no setting of it"),
            ('developer_token = "d"', "lacks url and user_token"),
            ('url = "http://x"\nuser_token = "u"', "lacks a developer token"),
            ('url = "x"\nuser_token = "u"\ndeveloper_token = "d"', "the base URL is no http or https URL"),
        ],
    )
    def test_one_that_makes_no_sense_is_refused(self, folders, text, about):
        write_profile(folders, text)

        assert about in refused()

    def test_one_that_is_not_there_is_refused(self):
        assert "there is no profile" in refused(profile="home")
        assert refused(profile="../home") == "'../home' is no name for a profile"

    def test_a_folder_in_its_place_is_refused(self, folders):
        (folders / "config" / "default.toml").mkdir()

        assert "cannot be read" in refused()


@pytest.mark.usefixtures("neighbour")
class TestANeighbour:
    def test_a_dev_server_that_runs_here_is_found(self):
        access = find_access({})

        assert (access.url, access.user_token) == (HERE, "adas")
        assert isinstance(access.developer_token, SigningKey)
        assert access.developer_token.key_id == KEY_ID

    def test_one_may_be_somebody_else_there(self):
        assert find_access({}, asking_as="ben").user_token == "bens"
        assert refused(asking_as="eve") == "the `likewise dev` that runs here has no listener 'eve'"

    def test_nobody_can_be_named_where_the_tokens_are_somebodys_already(self, folders):
        sentence = "--as ben is for a `likewise dev`, and another server's tokens are chosen"

        assert refused(environment=TOKENS, url=HERE, asking_as="ben") == sentence
        write_profile(folders, PROFILE)
        assert refused(asking_as="ben") == sentence
        assert find_access({}, url=HERE, asking_as="ben").user_token == "bens"

    def test_its_tokens_are_for_its_server_alone(self):
        assert find_access({"LIKEWISE_URL": HERE}).user_token == "adas"
        assert refused(url=URL) == f"there is no developer token for {URL}"

    def test_the_file_is_for_its_owner_alone_and_goes_with_the_server(self, tmp_path_factory):
        data = tmp_path_factory.mktemp("alone")
        with running.announced(data, HERE):
            [path] = data.glob(running.FILES)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert json.loads(path.read_text()) == {"url": HERE, "pid": os.getpid()}

        assert not list(data.iterdir())

    def test_nobody_runs(self, neighbour):
        for path in neighbour.glob(running.FILES):
            path.unlink()

        assert refused() == "no server is named, and no `likewise dev` runs here"

    def test_a_file_that_a_dead_server_left_is_no_server_and_is_cleared_away(self, neighbour):
        [live] = neighbour.glob(running.FILES)
        stale = neighbour / f"dev.running.{os.getpid() + 1}.json"
        stale.write_text('{"url":"http://127.0.0.1:1"}')

        assert find_access({}).url == HERE
        script = (
            "import sys, pathlib\nfrom likewise.cli.running import announced\n"
            "with announced(pathlib.Path(sys.argv[1]), 'http://other'): pass"
        )
        subprocess.run([sys.executable, "-c", script, str(neighbour)], check=True)
        assert not stale.exists()
        assert live.exists()

    @pytest.mark.parametrize("facts", ["", "[]", "{}", '{"team_id":"x","key_id":"y","music_user_tokens":[]}'])
    def test_a_folder_that_makes_no_sense_has_no_server(self, neighbour, facts):
        (neighbour / "dev.json").write_text(facts)

        assert running.find_neighbour(neighbour) is None

    def test_a_file_that_goes_while_it_is_looked_at_is_no_server(self, neighbour):
        assert running._is_locked(Path(neighbour / "dev.running.0.json")) is False

    def test_no_token_shows_in_a_repr(self, neighbour):
        shown = repr(running.find_neighbour(neighbour)) + repr(find_access({}))

        assert "adas" not in shown
        assert HERE in shown


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (BadDeveloperToken("no"), "is it for this server, and not expired?"),
        (BadUserToken("no"), "is it for this server and this team, and not expired?"),
        (TooManyRequests(), "try again later"),
        (TooManyRequests(61.7), "try again in 62 seconds"),
    ],
)
def test_what_a_server_refuses_comes_with_a_hint(error, hint):
    with pytest.raises(CallFailed) as refusal, explained():
        raise error

    assert refusal.value.hint == hint
