"""What a command tells of secrets: to the process list, on the way to a server, and to whoever reads along."""

import pytest

from likewise.admin import IssuedUserToken
from likewise.cli.calling import Access, _is_plain, calling_with
from likewise.domain import Listener, UserToken
from tests.client.servers import answer, faulty_server
from tests.house import MONDAY, TEAM_ID, TUESDAY

PASSWORD = "geheim"
WITH_PASSWORD = f"postgresql://ada:{PASSWORD}@127.0.0.1:1/likewise"
IN_QUERY = f"postgresql://127.0.0.1:1/likewise?user=ada&password={PASSWORD}"


@pytest.mark.parametrize("url", [WITH_PASSWORD, IN_QUERY])
@pytest.mark.parametrize(
    ("flag", "arguments"),
    [
        ("--database", ("listener", "list", "--database")),
        ("--database", ("serve", "--database")),
        ("--database", ("config", "--database")),
        ("--to", ("copy", "--to")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_password_on_the_command_line_is_warned_of_and_not_repeated(likewise, url, flag, arguments):
    outcome = likewise(*arguments, url)

    assert outcome.err.count(f"warning: everybody on this machine can read the password after {flag}") == 1
    assert PASSWORD not in outcome.out + outcome.err


@pytest.mark.parametrize("url", ["postgresql://ada@127.0.0.1:1/likewise", "sqlite:///x:y@z.db"])
def test_a_url_without_a_password_is_not_warned_of(likewise, url):
    assert "warning" not in likewise("config", "--database", url).err


def test_a_password_in_a_variable_is_not_warned_of(likewise, monkeypatch):
    monkeypatch.setenv("LIKEWISE_DATABASE", WITH_PASSWORD)

    outcome = likewise("config")

    assert outcome.code == 0
    assert "warning" not in outcome.err
    assert PASSWORD not in outcome.out


MISSPELLED = [
    f"postgres//ada:{PASSWORD}@127.0.0.1:1/x",
    f"postgresql:ada:{PASSWORD}@127.0.0.1:1/x",
    f"ada:{PASSWORD}@127.0.0.1/x",
    f"ada:{PASSWORD}@x@127.0.0.1/x",
    f"ada:\n{PASSWORD}@127.0.0.1/x",
]
ODD = [
    *(f"postgresql://ada:ge{sign}{PASSWORD}@127.0.0.1:1/x" for sign in "/#?@%[ \\"),
    f"postgresql://ada:{PASSWORD}@127.0.0.1:port/x",
    f"postgresql://127.0.0.1:1/x?user=ada&password={PASSWORD}&sslmode=odd",
    f"postgresql://ada:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/x?sslmode=odd",
    f"postgresql://ada:{PASSWORD}@[::1/x",
    f"mysql://ada:{PASSWORD}@127.0.0.1/x",
]


@pytest.mark.parametrize("url", [*MISSPELLED, *ODD])
def test_a_url_that_cannot_be_understood_is_refused_and_shown_without_its_password(likewise, monkeypatch, url):
    monkeypatch.setenv("LIKEWISE_DATABASE", url)

    for command in (("config",), ("config", "--json"), ("listener", "list"), ("serve", "--port", "0")):
        outcome = likewise(*command)

        assert (outcome.code == 0) == (command[0] == "config")
        assert PASSWORD not in outcome.out + outcome.err


def test_nor_is_it_by_the_service(likewise, monkeypatch):
    monkeypatch.setenv("LIKEWISE_DATABASE", WITH_PASSWORD)

    outcome = likewise("serve")

    assert outcome.err.startswith("error: PostgreSQL cannot be reached")
    assert "--database" not in outcome.err


@pytest.mark.parametrize(
    "url", ["http://music.example", "http://192.0.2.1:8080", "http://localhost.example", "http://[::2]"]
)
def test_tokens_that_leave_the_machine_unencrypted_are_warned_of(url, capsys):
    with calling_with(Access(url, "developer", "user")):
        pass

    assert f"warning: whoever is between here and {url} can read the tokens; use https\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    ["https://music.example", "http://127.0.0.1:8080", "http://[::1]:80", "http://localhost", "http://a.localhost"],
)
def test_tokens_that_stay_or_are_encrypted_are_not_warned_of(url):
    assert not _is_plain(url)


def test_a_redirect_is_not_followed_and_no_token_goes_there(likewise, monkeypatch):
    monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
    monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
    with faulty_server([answer()]) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            with faulty_server([answer(status, b"", f"Location: {elsewhere.url}/v1/me/ratings")]) as server:
                outcome = likewise("list", "--url", server.url)

            assert outcome.code == 1
            assert "the server sends us elsewhere, where the tokens must not go" in outcome.err

        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "next", ["@{host}/v1/me/ratings", ".{host}/v1/me", "//{host}/v1/", "http://{host}/v1/me/ratings", "/v1/../x y"]
)
def test_a_list_that_goes_on_elsewhere_is_not_followed(likewise, monkeypatch, next):
    monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
    monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
    with faulty_server([answer()]) as elsewhere:
        link = next.format(host=f"127.0.0.1:{elsewhere.port}")
        with faulty_server([answer(200, b'{"data":[],"next":"%b"}' % link.encode())]) as server:
            outcome = likewise("list", "--url", server.url)

        assert outcome.code == 1
        assert elsewhere.requests == []
        assert len(server.requests) == 1


def test_no_representation_holds_a_token():
    issued = IssuedUserToken("c2VjcmV0", UserToken("abc", Listener(1, "ada", "us"), TEAM_ID, MONDAY, TUESDAY))

    for each in (issued, Access("http://127.0.0.1", "c2VjcmV0", "c2VjcmV0")):
        assert "c2VjcmV0" not in f"{each!r} {each}"
