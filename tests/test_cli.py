"""The command line: data on stdout, the rest on stderr, one sentence and a hint for what cannot be done."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from likewise import __version__
from likewise.__main__ import main as likewise_itself
from likewise.cli import main
from likewise.errors import BadSetting
from likewise.tokens import generate_private_key, read_public_key
from tests.house import KEY_ID, TEAM_ID

TEAM = ("--team-id", TEAM_ID)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def database(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)
    url = f"sqlite:///{tmp_path}/likewise.db"
    monkeypatch.setenv("LIKEWISE_DATABASE", url)
    return url


@pytest.fixture
def likewise(database, capsys):  # noqa: ARG001 - sets the variable
    """The command, run in this process against a database of its own."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def p8(tmp_path, private_key):
    path = tmp_path / f"AuthKey_{KEY_ID}.p8"
    path.write_bytes(private_key)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pem_of(key) -> bytes:
    encoding, format = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, format, serialization.NoEncryption())


def with_password(key) -> bytes:
    encoding, format = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, format, serialization.BestAvailableEncryption(b"swordfish"))


class TestTheCommand:
    def test_version_is_the_packages(self, likewise):
        assert likewise("--version") == Outcome(0, f"likewise {__version__}\n", "")

    def test_without_arguments_it_explains_itself_and_counts_as_misused(self, likewise):
        outcome = likewise()

        assert outcome.code == 2
        assert "Usage: likewise" in outcome.err

    @pytest.mark.parametrize(
        "command",
        [
            *("dev", "serve", "key", "listener", "token", "library", "import", "export", "config", "migrate"),
            *("completion", "backup", "restore", "check", "copy"),
        ],
    )
    def test_every_command_has_help(self, likewise, command):
        outcome = likewise(command, "--help")

        assert outcome.code == 0
        assert f"Usage: likewise {command}" in outcome.out

    def test_an_unknown_command_is_misuse_with_a_hint(self, likewise):
        outcome = likewise("zzz")

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: No such command 'zzz'")
        assert outcome.err.endswith("\n\nhint: see `likewise --help`\n")

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_prints_a_script_for_the_shell(self, likewise, shell):
        outcome = likewise("completion", shell)

        assert outcome.code == 0
        assert "_LIKEWISE_COMPLETE" in outcome.out

    def test_every_command_but_dev_refuses_to_guess_the_database(self, likewise, monkeypatch, p8):
        monkeypatch.delenv("LIKEWISE_DATABASE")

        for arguments in (
            ["serve"],
            ["key", "add", p8, *TEAM],
            ["key", "list"],
            ["listener", "add", "ada"],
            ["token", "list", "ada"],
            ["library", "list", "ada"],
            ["import", p8],
            ["export"],
        ):
            outcome = likewise(*arguments)
            assert outcome.code == 2
            assert outcome.out == ""
            assert outcome.err.startswith("error: no database is set\n\nhint: ")

    def test_the_flag_wins_over_the_variable(self, likewise, tmp_path):
        other = f"sqlite:///{tmp_path}/other.db"
        likewise("listener", "add", "ada")

        assert likewise("listener", "list", "--database", other).code == 1
        likewise("listener", "add", "ben", "--database", other)

        assert json.loads(likewise("listener", "list", "--json", "--database", other).out) == [
            {"name": "ben", "storefront": "us"}
        ]

    def test_help_says_the_first_sentence_of_each_command_to_its_end(self, likewise):
        for arguments in ([], ["key"], ["token"], ["library"], ["listener"], ["names"]):
            out = likewise(*arguments, "--help").out

            assert "..." not in out.partition("\n")[2]
            assert max(map(len, out.splitlines())) <= 80

    @pytest.mark.parametrize(
        ("arguments", "name", "meant"),
        [(["srve"], "srve", "likewise serve"), (["listener", "remve", "ada"], "remve", "likewise listener remove")],
    )
    def test_a_misspelled_command_is_misuse_with_a_guess(self, likewise, arguments, name, meant):
        error = f"error: there is no command '{name}'\n\nhint: did you mean `{meant}`?\n"
        assert likewise(*arguments) == (2, "", error)

    def test_a_narrow_terminal_cuts_no_name_and_no_value(self, likewise, database, monkeypatch):
        with monkeypatch.context() as terminal:
            terminal.setattr("sys.stdout.isatty", lambda: True)
            terminal.setenv("COLUMNS", "40")
            out = likewise("config").out

        assert "…" not in out
        assert database in out
        assert "LIKEWISE_SHUTDOWN_SECONDS_MAX" in out

    def test_a_missing_choice_is_said_in_one_sentence(self, likewise):
        assert likewise("completion") == (
            2,
            "",
            (
                "error: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\n\n"
                "hint: see `likewise completion --help`\n"
            ),
        )

    def test_colour_is_for_terminals_only(self, likewise):
        assert "\x1b" not in likewise("listener", "remove", "nobody", "--yes").err

    def test_a_reader_that_has_seen_enough_ends_it_quietly(self, likewise, database):
        likewise("listener", "add", "ada")
        reader = f"{sys.executable} -m likewise listener list --database {database} | true; echo ${{PIPESTATUS[0]}}"

        done = subprocess.run(["bash", "-c", reader], capture_output=True, text=True, timeout=30, check=True)

        assert "Traceback" not in done.stderr
        assert done.stdout.strip() in {"0", "1"}

    def test_broken_pipe_exits_1_without_a_word(self, database, monkeypatch, tmp_path):
        def broken(*_arguments, **_options):
            raise BrokenPipeError

        monkeypatch.setattr("likewise.cli.listeners.on_store", broken)
        with (tmp_path / "out").open("w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            with pytest.raises(SystemExit) as stop:
                main(["listener", "list", "--database", database])

        assert stop.value.code == 1

    @pytest.mark.parametrize("arguments", [["listener", "list"], ["token", "user", "ada", *TEAM]])
    def test_output_that_cannot_be_written_is_one_sentence(self, likewise, database, arguments):
        likewise("listener", "add", "ada")
        command = [sys.executable, "-m", "likewise", *arguments, "--database", database]

        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)

        assert done.returncode == 1
        assert done.stderr.startswith("error: the output could not be written (No space left on device)\n\nhint: ")
        assert "Traceback" not in done.stderr
        tokens = json.loads(likewise("token", "list", "ada", "--json").out)
        assert all(token["revoked"] for token in tokens)

    @pytest.mark.parametrize(
        "arguments", ["listener list", f"token user ada --team-id {TEAM_ID}", "export --format csv"]
    )
    def test_output_that_is_closed_is_one_sentence(self, likewise, database, arguments):
        likewise("listener", "add", "ada")
        command = f"exec {sys.executable} -m likewise {arguments} --database {database} >&-"

        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)

        assert done.returncode == 1
        assert done.stderr.startswith("error: the output could not be written (Bad file descriptor)\n\nhint: ")

    @pytest.mark.parametrize(("arguments", "code"), [("listener list", 0), ("listener remove ben", 1), ("nonsense", 2)])
    def test_nobody_misses_an_error_output_that_is_closed(self, likewise, database, arguments, code):
        likewise("listener", "add", "ada")
        command = f"exec {sys.executable} -m likewise {arguments} 2>&-"
        environment = {**os.environ, "LIKEWISE_DATABASE": database}

        done = subprocess.run(
            ["sh", "-c", command], stdout=subprocess.PIPE, env=environment, text=True, timeout=30, check=False
        )

        assert done.returncode == code
        assert ("ada" in done.stdout) is (code == 0)

    def test_a_token_that_nobody_saw_is_revoked(self, likewise, monkeypatch):
        likewise("listener", "add", "ada")

        def full(*_arguments, **_options):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr("likewise.cli.tokens.click.echo", full)
            disk.setattr("likewise.cli._drop_stdout", lambda: None)
            disk.setattr("likewise.cli._complain", lambda *_texts: None)
            assert likewise("token", "user", "ada", *TEAM).code == 1

        [token] = json.loads(likewise("token", "list", "ada", "--json").out)
        assert token["revoked"] is not None

    def test_an_argument_that_is_no_utf8_is_misuse(self, likewise):
        likewise("listener", "add", "ada")

        outcome = likewise("token", "revoke", "\udcff")

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: an argument is no UTF-8")

    def test_ctrl_c_says_so_and_exits_1(self, likewise, monkeypatch):
        def interrupted(*_arguments, **_options):
            raise KeyboardInterrupt

        monkeypatch.setattr("likewise.cli.listeners.on_store", interrupted)

        outcome = likewise("listener", "list")

        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.strip() == "stopped"

    def test_ctrl_c_while_the_commands_are_loaded_says_so_too(self, monkeypatch, capsys):
        class Loading:
            def __getattr__(self, _name):
                raise KeyboardInterrupt

        monkeypatch.setitem(sys.modules, "likewise.cli", Loading())

        with pytest.raises(SystemExit) as stop:
            likewise_itself()

        assert (stop.value.code, capsys.readouterr().err) == (1, "stopped\n")

    def test_a_failure_of_click_itself_is_one_sentence(self, likewise, monkeypatch):
        def failing(*_arguments, **_options):
            raise click.FileError("somewhere", "it is gone")

        monkeypatch.setattr("likewise.cli.listeners.on_store", failing)

        outcome = likewise("listener", "list")

        assert outcome.code == 1
        assert outcome.err.startswith("error: ")


class TestKeys:
    def test_a_p8_is_registered_under_the_id_in_its_name_and_listed(self, likewise, p8):
        assert likewise("key", "add", p8, *TEAM).code == 0

        [key] = json.loads(likewise("key", "list", "--json").out)
        assert key["key_id"] == KEY_ID
        assert key["team_id"] == TEAM_ID
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", key["created"])
        assert key["revoked"] is None

    def test_the_private_half_never_enters_the_database(self, likewise, p8, tmp_path):
        likewise("key", "add", p8, *TEAM)

        content = b"".join(path.read_bytes() for path in tmp_path.glob("likewise.db*"))
        assert b"PRIVATE" not in content
        assert b"PUBLIC KEY" in content

    def test_pem_and_jwk_public_keys_are_taken(self, likewise, tmp_path):
        pem = read_public_key(generate_private_key())
        public: Any = serialization.load_pem_public_key(read_public_key(generate_private_key()).encode())
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(public)

        assert likewise("key", "add", written(tmp_path / "a.pem", pem.encode()), *TEAM, "--key-id", "A" * 10).code == 0
        assert likewise("key", "add", written(tmp_path / "b.jwk", jwk.encode()), *TEAM, "--key-id", "B" * 10).code == 0
        assert [key["key_id"] for key in json.loads(likewise("key", "list", "--json").out)] == ["A" * 10, "B" * 10]

    def test_a_private_jwk_gives_its_public_half(self, likewise, tmp_path, private_key):
        key: Any = serialization.load_pem_private_key(private_key, None)
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(key)

        path = written(tmp_path / "private.jwk", jwk.encode())

        assert likewise("key", "add", path, *TEAM, "--key-id", "A" * 10, "--json").out == (
            f'{{"key_id": "{"A" * 10}", "team_id": "{TEAM_ID}"}}\n'
        )

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (lambda: pem_of(rsa.generate_private_key(65537, 2048)), "not P-256"),
            (lambda: pem_of(ec.generate_private_key(ec.SECP384R1())), "the key is secp384r1, not P-256"),
            (
                lambda: (
                    rsa.generate_private_key(65537, 2048)
                    .public_key()
                    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
                ),
                "not P-256",
            ),
            (lambda: b"rubbish", "no public key"),
            (lambda: b"", "is empty"),
            (lambda: b" \n\n", "is empty"),
            (lambda: with_password(ec.generate_private_key(ec.SECP256R1())), "the private key has a password"),
            (lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key in PEM"),
            (lambda: b'{"kty":"EC"}', "no P-256 key in JWK"),
            (lambda: b'{"kty":"oct","k":"AAAA"}', "no P-256 key in JWK"),
            (lambda: b"{broken", "no P-256 key in JWK"),
            (lambda: b'{"kty":' + b"[" * 60_000, "no P-256 key in JWK"),
            (lambda: b"x" * 65_537, "too large"),
        ],
        ids=[
            "rsa",
            "p384",
            "rsa-public",
            "rubbish",
            "empty",
            "blank",
            "password",
            "broken-pem",
            "half-jwk",
            "oct-jwk",
            "no-json",
            "deep",
            "huge",
        ],
    )
    def test_any_other_key_is_refused_and_nothing_is_written(self, likewise, tmp_path, content, says):
        path = written(tmp_path / f"AuthKey_{KEY_ID}.p8", content())

        outcome = likewise("key", "add", path, *TEAM)

        assert outcome.code == 1
        assert says in outcome.err
        assert "\n\nhint: " in outcome.err
        assert not (tmp_path / "likewise.db").exists()

    def test_a_missing_file_is_misuse(self, likewise, tmp_path):
        outcome = likewise("key", "add", tmp_path / "nowhere.p8", *TEAM)

        assert outcome.code == 2
        assert "does not exist" in outcome.err

    def test_a_file_that_cannot_be_read_is_said_so(self, likewise, p8, monkeypatch):
        def refuse(*_arguments, **_options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("click.open_file", refuse)

        outcome = likewise("key", "add", p8, *TEAM)

        assert outcome.code == 1
        assert "cannot be read (Permission denied)" in outcome.err

    def test_a_key_without_an_id_is_misuse(self, likewise, tmp_path, private_key):
        path = written(tmp_path / "key.p8", private_key)

        assert likewise("key", "add", path, *TEAM).code == 2
        assert likewise("token", "developer", path, *TEAM).code == 2
        assert likewise("key", "add", path, *TEAM, "--key-id", "short").code == 2
        assert likewise("key", "add", path, *TEAM, "--key-id", "").code == 2
        assert likewise("key", "add", path, "--team-id", "DEF123GHI-", "--key-id", KEY_ID).code == 2

    def test_a_second_key_of_the_same_id_is_refused(self, likewise, p8):
        likewise("key", "add", p8, *TEAM)

        outcome = likewise("key", "add", p8, *TEAM)

        assert outcome.code == 1
        assert outcome.err == f"error: there is a developer key {KEY_ID} already\n\nhint: see `likewise key list`\n"

    def test_a_revoked_key_is_listed_with_the_time(self, likewise, p8):
        likewise("key", "add", p8, *TEAM)

        assert likewise("key", "revoke", KEY_ID).code == 0

        [key] = json.loads(likewise("key", "list", "--json").out)
        assert key["revoked"] is not None

    def test_revoking_what_is_not_there_fails(self, likewise, p8):
        likewise("key", "add", p8, *TEAM)

        assert likewise("key", "revoke", "NOSUCHKEY0").code == 1

    def test_a_revocation_as_json_names_the_key(self, likewise, p8):
        likewise("key", "add", p8, *TEAM)

        assert likewise("key", "revoke", KEY_ID, "--json") == Outcome(0, f'{{"key_id": "{KEY_ID}"}}\n', "")

    def test_people_get_a_table_and_through_a_pipe_rows_stay_whole(self, likewise, p8):
        likewise("key", "add", p8, *TEAM)

        lines = likewise("key", "list").out.splitlines()
        assert len(lines) == 2
        assert lines[0].split() == ["key", "id", "team", "id", "created", "revoked"]
        assert lines[1].startswith(f"{KEY_ID}  {TEAM_ID}  ")

    def test_an_empty_list_is_told_on_stderr(self, likewise):
        likewise("listener", "add", "ada")

        assert likewise("key", "list") == Outcome(0, "", "no developer key is registered\n")
        assert likewise("key", "list", "--json") == Outcome(0, "[]\n", "")


class TestListeners:
    def test_they_are_added_listed_by_name_and_removed(self, likewise):
        likewise("listener", "add", "ben", "--storefront", "jp")
        added = likewise("listener", "add", "ada", "--json")

        assert json.loads(added.out) == {"name": "ada", "storefront": "us"}
        assert [row["name"] for row in json.loads(likewise("listener", "list", "--json").out)] == ["ada", "ben"]
        assert likewise("listener", "remove", "ada", "--yes").code == 0
        assert [row["name"] for row in json.loads(likewise("listener", "list", "--json").out)] == ["ben"]

    def test_a_removal_as_json_names_the_listener(self, likewise):
        likewise("listener", "add", "ada")

        assert likewise("listener", "remove", "ada", "--yes", "--json") == Outcome(0, '{"name": "ada"}\n', "")

    @pytest.mark.parametrize("name", ["", "Ada", "a b", "ä", "a" * 65, "a\n"])
    def test_a_bad_name_is_misuse(self, likewise, name):
        assert likewise("listener", "add", name).code == 2

    def test_the_longest_name_is_fine(self, likewise):
        assert likewise("listener", "add", "a" * 64).code == 0

    @pytest.mark.parametrize(
        ("storefront", "hint"), [("US", "did you mean us?"), ("zzz-none", "two lower-case letters")]
    )
    def test_a_storefront_must_exist(self, likewise, storefront, hint):
        outcome = likewise("listener", "add", "ada", "--storefront", storefront)

        assert outcome.code == 2
        assert hint in outcome.err

    def test_removing_needs_a_yes_where_nobody_can_be_asked(self, likewise):
        likewise("listener", "add", "ada")

        outcome = likewise("listener", "remove", "ada")

        assert outcome.code == 2
        assert "hint: give --yes" in outcome.err
        assert "ada" in likewise("listener", "list").out

    @pytest.mark.parametrize(("answer", "stays"), [("y", False), ("n", True), ("", True)])
    def test_removing_asks_on_a_terminal(self, likewise, monkeypatch, answer, stays):
        likewise("listener", "add", "ada")
        with monkeypatch.context() as terminal:
            terminal.setattr("sys.stdin.isatty", lambda: True, raising=False)
            terminal.setattr("click.termui.visible_prompt_func", lambda _prompt: answer)

            likewise("listener", "remove", "ada")

        assert ("ada" in likewise("listener", "list").out) is stays

    def test_removing_nobody_fails(self, likewise):
        likewise("listener", "add", "ada")

        assert likewise("listener", "remove", "ben", "--yes").code == 1


class TestTokens:
    def test_a_developer_token_says_what_it_was_told(self, likewise, p8, private_key, monkeypatch):
        monkeypatch.delenv("LIKEWISE_DATABASE")

        outcome = likewise("token", "developer", p8, *TEAM, "--days", 3, "--origin", "https://a.example")

        token = outcome.out.strip()
        claims = jwt.decode(token, read_public_key(private_key), ["ES256"])
        assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY_ID}
        assert claims["iss"] == TEAM_ID
        assert claims["exp"] - claims["iat"] == 3 * 86_400
        assert claims["origin"] == ["https://a.example"]
        assert outcome.err == ""

    def test_an_origin_that_no_browser_would_send_is_misuse(self, likewise, p8):
        outcome = likewise("token", "developer", p8, *TEAM, "--origin", "https://Example.org:443/")

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: 'https://Example.org:443/' is no web origin as browsers send it\n")
        assert outcome.err.endswith("hint: did you mean https://example.org?\n")

    @pytest.mark.parametrize(("days", "code"), [(0, 2), (1, 0), (182, 0), (183, 2)])
    def test_a_developer_token_lives_at_most_six_months(self, likewise, p8, days, code):
        assert likewise("token", "developer", p8, *TEAM, "--days", days).code == code

    def test_a_public_key_cannot_mint(self, likewise, tmp_path, private_key):
        path = written(tmp_path / f"AuthKey_{KEY_ID}.pem", read_public_key(private_key).encode())

        outcome = likewise("token", "developer", path, *TEAM)

        assert outcome.code == 1
        assert outcome.err.startswith("error: this is a public key")

    def test_a_user_token_is_printed_once_and_kept_as_a_hash(self, likewise, tmp_path):
        likewise("listener", "add", "ada")

        outcome = likewise("token", "user", "ada", *TEAM)

        token = outcome.out.strip()
        assert re.fullmatch(r"[a-zA-Z0-9=/+]{32,}==", token)
        [row] = json.loads(likewise("token", "list", "ada", "--json").out)
        assert row["id"] in outcome.err
        assert token not in outcome.err
        assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("likewise.db*"))

    def test_a_user_token_as_json_and_revoked_by_its_short_id(self, likewise):
        likewise("listener", "add", "ada")
        facts = json.loads(likewise("token", "user", "ada", *TEAM, "--days", 1, "--json").out)

        assert set(facts) == {"music_user_token", "id", "listener", "team_id", "expires"}
        revoked = likewise("token", "revoke", facts["id"], "--json")
        assert revoked == Outcome(0, f'{{"id": "{facts["id"]}"}}\n', "")
        [row] = json.loads(likewise("token", "list", "ada", "--json").out)
        assert row["revoked"] is not None

    def test_a_token_for_nobody_and_a_revocation_of_nothing_fail(self, likewise):
        likewise("listener", "add", "ada")

        assert likewise("token", "user", "ben", *TEAM).code == 1
        assert likewise("token", "revoke", "nothing").code == 1
        assert likewise("token", "list", "ada") == Outcome(0, "", "ada has no music user token\n")


class TestLibrary:
    def test_items_are_linked_listed_and_unlinked(self, likewise):
        likewise("listener", "add", "ada")

        assert likewise("library", "link", "ada", "songs", "i.abc", "907242702").code == 0
        [row] = json.loads(likewise("library", "list", "ada", "--type", "songs", "--json").out)
        assert (row["type"], row["library_id"], row["catalog_id"]) == ("library-songs", "i.abc", "907242702")
        assert likewise("library", "unlink", "ada", "songs", "i.abc").code == 0
        assert likewise("library", "list", "ada") == Outcome(0, "", "the library of ada is empty\n")
        assert likewise("library", "unlink", "ada", "songs", "i.abc").code == 1

    def test_a_link_that_cannot_be_is_refused_with_the_reason(self, likewise):
        likewise("listener", "add", "ada")
        likewise("library", "link", "ada", "albums", "l.abc", "1")

        outcome = likewise("library", "link", "ada", "albums", "l.def", "1")

        assert outcome.code == 1
        assert "has the library id l.abc already" in outcome.err

    @pytest.mark.parametrize(("library_id", "catalog_id"), [("907242702", "907242702"), ("i.abc", "i.abc")])
    def test_ids_of_the_wrong_namespace_are_misuse(self, likewise, library_id, catalog_id):
        likewise("listener", "add", "ada")

        assert likewise("library", "link", "ada", "songs", library_id, catalog_id).code == 2

    def test_a_long_library_is_listed_whole(self, likewise, monkeypatch):
        monkeypatch.setattr("likewise.cli.library._PAGE", 2)
        likewise("listener", "add", "ada")
        for number in range(5):
            likewise("library", "link", "ada", "songs", f"i.a{number}", number)

        rows = json.loads(likewise("library", "list", "ada", "--json").out)
        assert [row["catalog_id"] for row in rows] == ["4", "3", "2", "1", "0"]

    def test_links_made_and_undone_are_told_as_json_too(self, likewise):
        likewise("listener", "add", "ada")
        facts = {"listener": "ada", "type": "songs", "library_id": "i.abc"}

        linked = likewise("library", "link", "ada", "songs", "i.abc", "1", "--json")
        assert json.loads(linked.out) == facts | {"catalog_id": "1"}
        unlinked = likewise("library", "unlink", "ada", "songs", "i.abc", "--json")
        assert json.loads(unlinked.out) == facts
        assert linked.err + unlinked.err == ""


class TestConfig:
    def test_it_shows_what_was_understood(self, likewise):
        rows = likewise("config", "--port", 9000).out

        assert re.search(r"LIKEWISE_PORT +9000 ", rows)

    def test_as_json_passwords_are_hidden(self, likewise, monkeypatch):
        monkeypatch.setenv("LIKEWISE_DATABASE", "postgresql://ada:secret@db.example/likes")

        shown = json.loads(likewise("config", "--json").out)

        assert shown["database"] == "postgresql://ada:***@db.example/likes"

    def test_of_the_admin_token_nothing_is_shown(self, likewise, monkeypatch):
        monkeypatch.setenv("LIKEWISE_ADMIN_TOKEN", "swordfish" * 4)

        assert json.loads(likewise("config", "--json").out)["admin_token"] == "***"
        assert "swordfish" not in likewise("config").out

    def test_a_misspelled_variable_is_pointed_out(self, likewise, monkeypatch):
        monkeypatch.setenv("LIKEWISE_DATABSE", "x")

        assert "did you mean LIKEWISE_DATABASE?" in likewise("config").err


class TestServe:
    def test_without_a_key_it_refuses_and_says_which_command_registers_one(self, likewise):
        likewise("listener", "add", "ada")

        outcome = likewise("serve")

        assert outcome.code == 2
        assert "no developer key is registered" in outcome.err
        assert "likewise key add" in outcome.err

    def test_with_a_revoked_key_alone_it_refuses_too(self, likewise, p8):
        likewise("key", "add", p8, *TEAM)
        likewise("key", "revoke", KEY_ID)

        assert likewise("serve").code == 2

    def test_an_admin_token_does_not_make_it_begin_a_sqlite_file(self, likewise, monkeypatch, tmp_path):
        monkeypatch.setenv("LIKEWISE_ADMIN_TOKEN", "swordfish" * 4)

        assert likewise("serve").code == 1
        assert not (tmp_path / "likewise.db").exists()

    def test_a_bad_flag_is_named_as_a_flag(self, likewise):
        outcome = likewise("serve", "--port", 70000)

        assert outcome.code == 2
        assert outcome.err.startswith("error: the flag --port must be a whole number from 0 to 65535\n\nhint: ")

    def test_a_bad_setting_names_its_variable(self, likewise, monkeypatch):
        monkeypatch.setenv("LIKEWISE_PORT", "70000")

        outcome = likewise("serve")

        assert outcome.code == 2
        assert outcome.err.startswith("error: the setting LIKEWISE_PORT must be a whole number from 0 to 65535")

    @pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "a..b", "a" * 70])
    def test_an_address_of_another_machine_is_refused(self, likewise, p8, host):
        likewise("key", "add", p8, *TEAM)

        outcome = likewise("serve", "--port", 0, "--host", host)

        assert outcome.code == 2
        assert f"{host} is no address of this machine" in outcome.err

    def test_a_port_that_is_not_ours_to_open_is_refused(self, likewise, p8, monkeypatch):
        def refuse(*_arguments, **_options):
            raise PermissionError(13, "Permission denied")

        likewise("key", "add", p8, *TEAM)
        monkeypatch.setattr("socket.getaddrinfo", refuse)

        assert "not yours to open" in likewise("serve", "--port", 80).err


def test_bad_settings_are_operator_errors():
    assert BadSetting("x", "y").hint == "y"
