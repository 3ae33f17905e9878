"""`likewise migrate`: a database is brought up to date, or one hears what would be done."""

import json
import os
import pty
import subprocess
import sys

import apsw
import pytest

from likewise.cli import main
from likewise.stores.sqlite import opening
from tests.contract.postgres_server import execute, postgres_server, run_apart
from tests.test_citus import stand_in

NEWEST = len(opening.migrations())


@pytest.fixture
def likewise(capsys, monkeypatch):
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "likewise.db"


def version_of(path) -> int:
    connection = apsw.Connection(str(path))
    version = connection.pragma("user_version")
    connection.close()
    return int(version)


def test_a_database_that_is_not_there_is_begun(likewise, path):
    outcome = likewise("migrate", "--database", f"sqlite:///{path}")

    assert outcome == (0, "", f"the schema went from version 0 to {NEWEST}\n")
    assert version_of(path) == NEWEST


def test_a_database_that_is_up_to_date_stays_as_it_is(likewise, path):
    likewise("migrate", "--database", f"sqlite:///{path}")

    outcome = likewise("migrate", "--database", f"sqlite:///{path}")

    assert outcome == (0, "", f"the schema is at version {NEWEST} already\n")


def test_an_older_database_goes_from_its_version_to_the_newest(likewise, path, monkeypatch):
    likewise("migrate", "--database", f"sqlite:///{path}")
    known = opening.migrations()
    monkeypatch.setattr(opening, "migrations", lambda: [*known, "CREATE TABLE later (id INTEGER)"])

    would = likewise("migrate", "--database", f"sqlite:///{path}", "--dry-run")
    version = version_of(path)
    did = likewise("migrate", "--database", f"sqlite:///{path}")

    assert would == (0, "", f"the schema would go from version {NEWEST} to {NEWEST + 1}\n")
    assert version == NEWEST
    assert did == (0, "", f"the schema went from version {NEWEST} to {NEWEST + 1}\n")
    assert version_of(path) == NEWEST + 1


def test_a_dry_run_makes_no_file(likewise, path):
    outcome = likewise("migrate", "--database", f"sqlite:///{path}", "--dry-run", "--json")

    assert outcome[0] == 0
    assert json.loads(outcome[1]) == {"from": 0, "to": NEWEST, "distributed": [], "dry_run": True}
    assert list(path.parent.iterdir()) == []


def test_a_database_in_memory_has_nothing_to_bring_up_to_date(likewise):
    assert likewise("migrate", "--database", "sqlite:///:memory:")[0] == 0


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_file_that_is_no_database_is_refused_and_left_alone(likewise, path, flags):
    path.write_bytes(b"Dear diary" * 100)

    code, out, err = likewise("migrate", "--database", f"sqlite:///{path}", *flags)

    assert (code, out) == (1, "")
    assert "is no SQLite database" in err
    assert path.read_bytes() == b"Dear diary" * 100


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_newer_database_is_refused_and_left_alone(likewise, path, flags):
    likewise("migrate", "--database", f"sqlite:///{path}")
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", NEWEST + 1)
    connection.close()

    code, _, err = likewise("migrate", "--database", f"sqlite:///{path}", *flags)

    assert code == 1
    assert "newer Likewise" in err
    assert version_of(path) == NEWEST + 1


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_locked_database_is_told(likewise, path, monkeypatch, flags):
    monkeypatch.setattr(opening, "BUSY_MILLISECONDS", 10)
    likewise("migrate", "--database", f"sqlite:///{path}")
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.execute("BEGIN EXCLUSIVE")

    code, _, err = likewise("migrate", "--database", f"sqlite:///{path}", *flags)
    connection.close()

    assert code == 1
    assert "locked by another program" in err


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_newer_schema_in_postgresql_is_refused(flags):
    url = postgres_server().make_database()
    run_apart(execute(url, "UPDATE likewise.schema SET version = 99"))

    result = subprocess.run(
        [sys.executable, "-m", "likewise", "migrate", "--database", url, *flags],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert "newer Likewise (schema 99" in result.stderr


def test_a_distribution_says_what_went_where_and_on_a_terminal_what_it_is_at(monkeypatch):
    monkeypatch.setenv("LIKEWISE_DATABASE", run_apart(stand_in(postgres_server().make_database())))
    command = [sys.executable, "-m", "likewise", "migrate"]

    would = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    ours, theirs = pty.openpty()
    did = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    tables = "listeners, ratings, library, item_names, names, user_tokens, developer_keys"
    assert would.stderr.startswith(
        f"the schema is at version {NEWEST} already; would be distributed over the cluster: "
    )
    assert tables in would.stderr
    assert did.stdout == b""
    assert "distributing ratings …" in shown
    assert f"; distributed over the cluster: {tables}" in " ".join(shown.split())


def test_a_distribution_tells_a_machine_what_went_where_and_nothing_else(likewise, monkeypatch):
    monkeypatch.setenv("LIKEWISE_DATABASE", run_apart(stand_in(postgres_server().make_database())))

    code, out, err = likewise("migrate", "--json")

    assert (code, err) == (0, "")
    assert json.loads(out)["distributed"][:2] == ["listeners", "ratings"]
