"""`likewise backup`, `restore`, `check` and `copy`, in this process and on real databases."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from likewise.cli import keeping, main
from likewise.domain import Change, DeveloperKey, Item, ItemName, Kind, UserToken, Value
from likewise.errors import BadFile
from likewise.ndjson import encode_lines
from likewise.records import Counter, ListenerRecord
from likewise.store import CopyMark
from likewise.stores import open_store
from likewise.tokens import read_public_key
from likewise.transfer import backups
from tests.contract.postgres_server import execute, postgres_server, run_apart
from tests.e2e.server import environment
from tests.house import KEY_ID, MONDAY, TEAM_ID, TUESDAY

LIKE = Value.LIKE
SONG = Item(Kind.SONG, "907242702")
SUMMARY = "5 ratings of 2 listeners, tombstones included\n"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def url(tmp_path):
    """A database in which people have lived."""
    return f"sqlite:///{tmp_path}/likewise.db"


@pytest.fixture
def lived_in(url, private_key):
    run_apart(live_in(url, private_key))
    return url


async def live_in(url, private_key):
    store = await open_store(url)
    await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), MONDAY))
    for name in ("ada", "ben"):
        listener = await store.add_listener(name, "us")
        await store.add_user_token(name.ljust(32).encode(), UserToken(name, listener, TEAM_ID, MONDAY, TUESDAY))
        await store.write(listener, [Change(SONG, LIKE), Change(Item(Kind.ALBUM, "1"), LIKE)], now=MONDAY)
    await store.delete(listener, SONG, now=TUESDAY)
    await store.put(listener, Item(Kind.LIBRARY_SONG, "i.a"), LIKE, now=TUESDAY)
    await store.learn(listener, [ItemName(SONG, title="Wonderwall")])
    await store.close()


async def _lines(url, *, eras):
    store = await open_store(url)
    async with store.snapshot() as snapshot:
        pages = snapshot.records()
        if not eras:
            pages = backups.in_new_eras(pages, lambda: 1)
        lines = b"".join([encode_lines(page) async for page in pages])
    await store.close()
    return lines


def lines_of(url, *, eras=False):
    """Return everything in a database; a restored listener begins a new era."""
    return run_apart(_lines(url, eras=eras))


@pytest.fixture
def likewise(monkeypatch, url, capsysbinary):
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LIKEWISE_DATABASE", url)

    def run(*arguments):
        capsysbinary.readouterr()  # what others have said before
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out.decode(), captured.err.decode())

    return run


def piped(content: bytes, *arguments, **extra):
    """Run a command of its own on standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "likewise", *map(str, arguments)],
        input=content,
        capture_output=True,
        env=environment(**extra),
        check=False,
        timeout=60,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def other(tmp_path):
    return f"sqlite:///{tmp_path}/other.db"


def read_all_of(*pieces):
    left = [*pieces, b""]

    async def read(_handle):
        return left.pop(0)

    return read


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


FORMATS = [("backup.db", b"SQLite format 3\0"), ("backup.ndjson", b'{"format":"likewise-backup"')]


@pytest.mark.usefixtures("lived_in")
class TestBackup:
    @pytest.mark.parametrize(("name", "begin"), FORMATS)
    def test_a_backup_is_a_private_file_that_can_be_restored(self, likewise, lived_in, other, tmp_path, name, begin):
        path = tmp_path / name

        assert likewise("backup", path) == Outcome(0, "", f"backed up {SUMMARY}")
        assert path.read_bytes().startswith(begin)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert names_in(tmp_path) == sorted([name, "likewise.db"])

        assert likewise("restore", path, "--database", other) == Outcome(0, "", f"restored {SUMMARY}")
        assert lines_of(other) == lines_of(lived_in)
        assert lines_of(other, eras=True) != lines_of(lived_in, eras=True)

    def test_the_format_is_what_was_asked_for_else_follows_from_the_name(self, likewise, tmp_path):
        for name, arguments, begin in [
            ("a.jsonl", [], b"{"),
            ("b.ndjson", ["--format", "sqlite"], b"S"),
            ("c", [], b"S"),
            ("d.db", ["--format", "ndjson"], b"{"),
        ]:
            assert likewise("backup", tmp_path / name, *arguments).code == 0
            assert (tmp_path / name).read_bytes()[:1] == begin

    def test_standard_output_is_the_backup_and_nothing_else(self, likewise, lived_in, other, tmp_path):
        outcome = likewise("backup", "-")

        assert (outcome.code, outcome.err) == (0, f"backed up {SUMMARY}")
        assert outcome.out.startswith('{"format":"likewise-backup"')
        again = piped(outcome.out.encode(), "restore", "-", "--database", other)
        assert again == Outcome(0, "", f"restored {SUMMARY}")
        assert lines_of(other) == lines_of(lived_in)
        assert likewise("backup", tmp_path / "file.ndjson").code == 0

    def test_a_sqlite_backup_is_restored_from_a_pipe_too(self, likewise, lived_in, other, tmp_path):
        assert likewise("backup", tmp_path / "backup.db").code == 0

        outcome = piped((tmp_path / "backup.db").read_bytes(), "restore", "-", "--database", other)

        assert outcome == Outcome(0, "", f"restored {SUMMARY}")
        assert lines_of(other) == lines_of(lived_in)

    @pytest.mark.parametrize("name", [name for name, _ in FORMATS])
    def test_a_pipe_may_have_a_name(self, likewise, lived_in, other, tmp_path, name):
        assert likewise("backup", tmp_path / name).code == 0
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(lambda: pipe.write_bytes((tmp_path / name).read_bytes()))
            outcome = likewise("restore", pipe, "--database", other)
            writing.result()

        assert outcome == Outcome(0, "", f"restored {SUMMARY}")
        assert lines_of(other) == lines_of(lived_in)

    def test_what_comes_through_a_pipe_and_finds_no_room_is_one_sentence(self, tmp_path, monkeypatch):
        (tmp_path / "received.db").symlink_to("/dev/full")
        monkeypatch.setattr("likewise.cli.files.read", read_all_of(b"SQLite format 3\0"))

        with pytest.raises(BadFile, match="No space left on device"):
            asyncio.run(keeping._receive(0, b"SQLite", tmp_path / "received.db"))

    def test_json_says_what_was_done(self, likewise, tmp_path, other):
        path = tmp_path / "backup.db"
        facts = {"file": str(path), "listeners": 2, "ratings": 5}

        assert json.loads(likewise("backup", path, "--json").out) == facts
        assert json.loads(likewise("restore", path, "--json", "--database", other).out) == facts

    def test_a_backup_takes_no_name_that_is_taken(self, likewise, tmp_path):
        path = tmp_path / "backup.db"
        path.write_bytes(b"precious")

        refused = likewise("backup", path)

        assert refused.code == 1
        assert refused.err == (
            f"error: there is a file {path} already\n\nhint: give another name, or --force to replace it\n"
        )
        assert path.read_bytes() == b"precious"
        assert likewise("backup", path, "--force").code == 0
        assert path.read_bytes().startswith(b"SQLite")

    def test_a_name_that_was_taken_meanwhile_is_left_alone(self, likewise, tmp_path, monkeypatch):
        path = tmp_path / "backup.db"
        link = os.link
        monkeypatch.setattr(os, "link", lambda *names: (path.write_bytes(b"precious"), link(*names)))

        assert likewise("backup", path).err.startswith(f"error: there is a file {path} already")
        assert path.read_bytes() == b"precious"
        assert names_in(tmp_path) == ["backup.db", "likewise.db"]

    def test_through_a_symbolic_link_the_file_itself_is_replaced(self, likewise, tmp_path):
        path = tmp_path / "real.db"
        path.write_bytes(b"old")
        (tmp_path / "link.db").symlink_to(path)

        assert likewise("backup", tmp_path / "link.db", "--force").code == 0
        assert path.read_bytes().startswith(b"SQLite")
        assert (tmp_path / "link.db").is_symlink()

    @pytest.mark.parametrize("force", [[], ["--force"]])
    def test_the_database_never_becomes_its_own_backup(self, likewise, lived_in, tmp_path, force):
        before = lines_of(lived_in)
        (tmp_path / "link.db").symlink_to(tmp_path / "likewise.db")

        using = apsw.Connection(str(tmp_path / "likewise.db"))
        using.execute("UPDATE listeners SET storefront = storefront")
        for name in ("likewise.db", "link.db", "likewise.db-wal", "likewise.db-shm"):
            outcome = likewise("backup", tmp_path / name, *force)
            assert (outcome.code, outcome.out) == (2, "")
            assert "is the database itself" in outcome.err
        using.close()
        assert lines_of(lived_in) == before

    def test_a_backup_goes_where_a_file_can_be(self, likewise, tmp_path):
        for path, text in [
            ("/dev/null", "error: /dev/null is no regular file"),
            (tmp_path, f"error: {tmp_path} is no regular file"),
            (tmp_path / "no/folder", f"error: the file {tmp_path}/no/folder cannot be written (No such file"),
            (tmp_path / ("x" * 300), "error: the file"),
        ]:
            outcome = likewise("backup", path, "--force")
            assert outcome.code == 1
            assert outcome.err.startswith(text)

    def test_what_makes_no_sense_is_misuse(self, likewise, tmp_path):
        for arguments in (
            ["-", "--json"],
            ["-", "--format", "sqlite"],
            [tmp_path / "x", "--format", "sqlite", "--database", "postgresql://localhost/likewise"],
            [tmp_path / "x", "--format", "xml"],
        ):
            outcome = likewise("backup", *arguments)
            assert (outcome.code, outcome.out) == (2, "")

    def test_where_there_is_no_database_there_is_no_backup(self, likewise, tmp_path, other):
        for name in ("backup.db", "backup.ndjson"):
            outcome = likewise("backup", tmp_path / name, "--database", other)
            assert outcome.code == 1
            assert outcome.err.startswith("error: there is no database")
        assert names_in(tmp_path) == ["likewise.db"]

    def test_a_damaged_database_is_not_backed_up_as_if_it_were_whole(self, likewise, tmp_path):
        damage(tmp_path / "likewise.db")

        outcome = likewise("backup", tmp_path / "backup.db")

        assert outcome.code == 1
        assert outcome.err.startswith("error: the database contradicts itself: damage to the file: ")
        assert names_in(tmp_path) == ["likewise.db"]

    def test_a_database_that_is_none_is_not_backed_up(self, likewise, tmp_path):
        (tmp_path / "likewise.db").write_bytes(b"no database at all, but long enough to be one" * 99)

        outcome = likewise("backup", tmp_path / "backup.db")

        assert outcome.code == 1
        assert names_in(tmp_path) == ["likewise.db"]

    def test_a_database_is_backed_up_as_it_is_before_an_upgrade(self, likewise, tmp_path, other):
        first = (Path(backups.__file__).parents[1] / "stores/migrations/sqlite/0001_ratings.sql").read_text("utf-8")
        old = apsw.Connection(str(tmp_path / "old.db"))
        old.execute(first)
        old.execute("INSERT INTO listeners (name, storefront) VALUES ('ada', 'us')")
        old.execute("PRAGMA application_id = 0x4C696B65; PRAGMA user_version = 1")
        old.close()

        assert likewise("backup", tmp_path / "backup.db", "--database", f"sqlite:///{tmp_path}/old.db").code == 0

        for path in ("old.db", "backup.db"):
            untouched = apsw.Connection(str(tmp_path / path))
            assert untouched.pragma("user_version") == 1
            untouched.close()
        assert likewise("restore", tmp_path / "backup.db", "--database", other).code == 0
        assert b'"ada"' in lines_of(other)

    def test_an_unfinished_copy_is_not_backed_up(self, likewise, lived_in, tmp_path):
        run_apart(leave_unfinished(lived_in))

        for name in ("backup.db", "backup.ndjson"):
            outcome = likewise("backup", tmp_path / name)
            assert outcome.code == 1
            assert "is an unfinished copy of another database" in outcome.err

    def test_a_record_that_could_not_be_restored_is_noticed(self, likewise, lived_in, tmp_path):
        run_apart(_amend(lived_in, ListenerRecord(9, "No Name", "us", 0, 0, 1)))

        outcome = likewise("backup", tmp_path / "backup.ndjson")

        assert outcome.code == 1
        assert "has 'No Name' for a listener's name" in outcome.err
        assert names_in(tmp_path) == ["likewise.db"]


def damage(path):
    """Overwrite the middle of a file, where pages of tables are."""
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(256) * ((len(content) - 4096) // 256)
    path.write_bytes(content)


async def leave_unfinished(url):
    store = await open_store(url, alone=True)
    await store.amend(remove=[], records=[], mark=CopyMark(is_whole=False))
    await store.close()


async def _amend(url, *records):
    store = await open_store(url, alone=True)
    await store.amend(remove=[], records=records, mark=CopyMark(is_whole=True))
    await store.close()


@pytest.mark.usefixtures("lived_in")
class TestRestore:
    @pytest.fixture
    def backup(self, likewise, tmp_path):
        likewise("backup", tmp_path / "backup.db")
        likewise("backup", tmp_path / "backup.ndjson")
        return tmp_path / "backup.ndjson"

    def test_what_is_there_is_replaced_only_when_told_so(self, likewise, backup, lived_in):
        run_apart(_amend(lived_in, ListenerRecord(9, "zoe", "us", 0, 0, 1), Counter(9)))
        before = lines_of(lived_in)

        for path in (backup, backup.with_suffix(".db")):
            refused = likewise("restore", path)
            assert refused.code == 1
            assert refused.err.startswith("error: the database is not empty\n\nhint: give --replace")
            assert lines_of(lived_in) == before

        assert likewise("restore", backup, "--replace").code == 0
        # Ids that were given stay given.
        assert lines_of(lived_in) == before.replace(b'["listener",9,"zoe","us",0,0,1]\n', b"")

    @pytest.mark.parametrize(
        ("spoil", "text"),
        [
            (lambda _content: b"", "the file is empty"),
            (lambda _content: b"hello", "the file is no backup of Likewise"),
            (lambda content: content[:-20], "line 15 is no end of a backup: it is no JSON"),
            (lambda content: content.rsplit(b"\n", 2)[0] + b"\n", "line 15 is missing: the backup breaks off"),
            (lambda content: content.replace(b'"ada"', b'"adx"'), "line 15 does not fit the lines before it"),
            (lambda content: content.replace(b'"ada"', b'"ADA"'), "line 4 has 'ADA' for a listener's name"),
            (lambda content: content.replace(b'"version":1', b'"version":7'), "the backup was written by a newer"),
            (lambda content: b"SQLite format 3\0" + content, "the backup is damaged"),
        ],
    )
    def test_a_bad_backup_changes_nothing(self, backup, lived_in, tmp_path, spoil, text):
        before = lines_of(lived_in, eras=True)
        fresh = f"sqlite:///{tmp_path}/fresh.db"

        for arguments in (["--replace", "--database", lived_in], ["--database", fresh]):
            outcome = piped(spoil(backup.read_bytes()), "restore", "-", *arguments)
            assert outcome.code == 1
            assert outcome.err.startswith(f"error: {text}")
            assert "hint: " in outcome.err
        assert lines_of(lived_in, eras=True) == before
        assert names_in(tmp_path) == ["backup.db", "backup.ndjson", "likewise.db"]

    def test_a_bad_backup_leaves_an_empty_database_that_was_there(self, likewise, backup, other, tmp_path):
        assert likewise("migrate", "--database", other).code == 0
        path = tmp_path / "damaged.ndjson"
        path.write_bytes(backup.read_bytes()[:-20])

        assert likewise("restore", path, "--database", other).code == 1
        assert lines_of(other) == encode_lines([Counter(0)])

    def test_damaged_sqlite_backups_are_refused(self, likewise, backup, tmp_path, other):
        path = backup.with_suffix(".db")
        damage(path)

        outcome = likewise("restore", path, "--database", other)

        assert outcome.code == 1
        assert outcome.err.startswith(f"error: {path} is damaged")
        path.write_bytes(path.read_bytes()[:9_000])
        assert likewise("restore", path, "--database", other).err.startswith(f"error: {path} is damaged")
        assert not (tmp_path / "other.db").exists()

    def test_a_sqlite_database_of_somebody_else_is_no_backup(self, likewise, tmp_path, other):
        foreign = apsw.Connection(str(tmp_path / "foreign.db"))
        foreign.execute("CREATE TABLE songs (id)")
        foreign.close()

        outcome = likewise("restore", tmp_path / "foreign.db", "--database", other)

        assert outcome.code == 1
        assert "is a database of another program" in outcome.err

    def test_an_empty_database_neither_is_a_backup_nor_has_one(self, likewise, lived_in, tmp_path):
        before = lines_of(lived_in, eras=True)
        blank = apsw.Connection(str(tmp_path / "blank.db"))
        blank.execute("PRAGMA journal_mode = wal; VACUUM").fetchall()
        blank.execute("PRAGMA user_version = 0")
        blank.close()

        refused = likewise("restore", tmp_path / "blank.db", "--replace")
        assert refused.code == 1
        assert refused.err.startswith(f"error: {tmp_path}/blank.db is no backup of Likewise")
        assert lines_of(lived_in, eras=True) == before
        outcome = likewise("backup", tmp_path / "backup.db", "--database", f"sqlite:///{tmp_path}/blank.db")
        assert outcome.err.startswith(f"error: there is no Likewise in {tmp_path}/blank.db")

    def test_a_malformed_record_in_a_sqlite_file_is_refused(self, likewise, backup, other, tmp_path):
        path = backup.with_suffix(".db")
        edited = apsw.Connection(str(path))
        edited.execute("UPDATE ratings SET id = 'nonsense' WHERE listener = 1 AND kind = 1")
        edited.close()

        outcome = likewise("restore", path, "--database", other)

        assert outcome.code == 1
        assert outcome.err.startswith("error: a rating record of listener 1 has 'nonsense' for an id of songs")
        assert not (tmp_path / "other.db").exists()

    def test_a_database_in_use_is_not_replaced_under_anybody(self, likewise, backup, lived_in):
        using = run_apart(_opened(lived_in))
        try:
            outcome = likewise("restore", backup, "--replace")
        finally:
            run_apart(using.close())

        assert outcome.code == 1
        assert outcome.err.startswith("error: the database is in use by another program\n\nhint: stop the server")
        assert likewise("restore", backup, "--replace").code == 0

    def test_a_backup_where_nobody_can_write_is_restored_and_left_alone(self, likewise, backup, other, tmp_path):
        path = tmp_path / "archive/backup.db"
        path.parent.mkdir()
        backup.with_suffix(".db").rename(path)
        before = path.read_bytes()

        assert likewise("restore", path, "--database", other).code == 0
        assert names_in(path.parent) == ["backup.db"]
        assert path.read_bytes() == before

    def test_a_database_with_its_log_is_restored_whole(self, likewise, other, tmp_path):
        using = apsw.Connection(str(tmp_path / "likewise.db"))
        using.execute("UPDATE listeners SET name = 'new' WHERE id = 1")
        for name in ("likewise.db", "likewise.db-wal"):
            (tmp_path / f"copied{name[8:]}").write_bytes((tmp_path / name).read_bytes())
        using.close()

        assert likewise("restore", tmp_path / "copied.db", "--database", other).code == 0
        assert b'"new"' in lines_of(other)

    def test_files_that_cannot_be_read_are_told(self, likewise, tmp_path):
        assert likewise("restore", tmp_path / "none").err.startswith(f"error: the file {tmp_path}/none cannot be read")
        assert likewise("restore", tmp_path).err.startswith("error: the file cannot be read (Is a directory)")


async def _opened(url):
    return await open_store(url)


@pytest.mark.usefixtures("lived_in")
class TestCheck:
    def test_a_whole_database_is_whole(self, likewise):
        outcome = likewise("check")

        assert outcome.code == 0
        assert outcome.err == "nothing contradicts itself\n"
        assert [line.split() for line in outcome.out.splitlines()][-1] == ["rating", "5"]
        assert json.loads(likewise("check", "--json").out) == {
            "records": {"counter": 1, "key": 1, "listener": 2, "token": 2, "name": 1, "library": 1, "rating": 5},
            "findings": [],
        }

    def test_what_is_not_whole_is_listed_and_fails(self, likewise, tmp_path):
        edited = apsw.Connection(str(tmp_path / "likewise.db"))
        edited.execute("UPDATE ratings SET change = 99, id = 'nonsense' WHERE listener = 1 AND kind = 1")
        edited.execute("DELETE FROM user_tokens WHERE listener = 2; DELETE FROM listeners WHERE id = 2")
        edited.close()

        outcome = likewise("check")

        assert outcome.code == 1
        assert outcome.err == "the database is not whole\n"
        assert outcome.out.splitlines()[-4:] == [
            "1 row: a rating record of listener 1 has 'nonsense' for an id of songs",
            "3 rows: ratings whose listener is gone (of listener 2, for one)",
            "1 row: library items whose listener is gone (of listener 2, for one)",
            "1 row: ratings with a change number above their listener's last (of listener 1, for one)",
        ]
        findings = json.loads(likewise("check", "--json").out)["findings"]
        assert {"finding": "ratings whose listener is gone (of listener 2, for one)", "rows": 3} in findings

    def test_a_flood_of_faults_is_counted(self, likewise, tmp_path):
        edited = apsw.Connection(str(tmp_path / "likewise.db"))
        edited.executemany(
            "INSERT INTO ratings VALUES (1, 1, ?, 1, 1, 1)", ((f"nonsense {number}",) for number in range(130))
        )
        edited.close()

        lines = likewise("check").out.splitlines()

        assert sum("for an id of songs" in line for line in lines) == 100
        assert "30 rows: more records that are malformed" in lines

    def test_damage_to_the_file_is_told(self, likewise, tmp_path):
        edited = apsw.Connection(str(tmp_path / "likewise.db"))
        edited.execute("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'library_by_age'")
        edited.close()

        outcome = likewise("check")

        assert outcome.code == 1
        assert "1 row: damage to the file: Page " in outcome.out


@pytest.mark.usefixtures("lived_in")
class TestCopy:
    def test_a_database_is_copied_to_postgres_and_back(self, likewise, lived_in, other):
        target = postgres_server().make_database()

        outcome = likewise("copy", "--to", target)

        assert (outcome.code, outcome.out) == (0, "")
        assert "copied 12 records; both have 12 now, with the digest " in outcome.err
        again = likewise("copy", "--to", target, "--json")
        assert json.loads(again.out)["written"] == 0
        assert likewise("copy", "--from", target, "--to", other).code == 0
        assert lines_of(other, eras=True) == lines_of(lived_in, eras=True)

    def test_a_copy_needs_two_databases(self, likewise, lived_in):
        assert likewise("copy").code == 2
        for url in (lived_in, lived_in.replace("/likewise.db", "/./likewise.db")):
            outcome = likewise("copy", "--to", url)
            assert (outcome.code, outcome.out) == (2, "")
            assert outcome.err.startswith("error: both URLs name the same database")

    def test_postgres_is_backed_up_and_restored(self, likewise, lived_in, tmp_path):
        one, two = (postgres_server().make_database() for _ in range(2))
        likewise("copy", "--to", one)

        assert likewise("backup", tmp_path / "backup", "--database", one).code == 0
        assert (tmp_path / "backup").read_bytes().startswith(b"{")
        assert likewise("restore", tmp_path / "backup", "--database", two).code == 0
        assert likewise("check", "--database", two).code == 0
        assert lines_of(two) == lines_of(lived_in)
        assert likewise("restore", tmp_path / "backup", "--database", two).code == 1
        assert likewise("restore", tmp_path / "backup", "--database", two, "--replace").code == 0
        assert lines_of(two) == lines_of(lived_in)

    def test_an_unfinished_copy_is_not_served(self, likewise, other):
        target = postgres_server().make_database()
        for url in (other, target):
            run_apart(leave_unfinished(url))
            for arguments in (["serve", "--database", url], ["listener", "list", "--database", url]):
                outcome = likewise(*arguments)
                assert outcome.code == 1
                assert "is an unfinished copy of another database" in outcome.err
            assert likewise("copy", "--to", url).code == 0
            assert likewise("listener", "list", "--database", url).code == 0

    def test_postgres_in_use_is_not_replaced(self, likewise):
        target = postgres_server().make_database()
        likewise("copy", "--to", target)

        async def use_and_copy():
            store = await open_store(target)
            try:
                await store.ping()
                return await asyncio.to_thread(likewise, "copy", "--to", target)
            finally:
                await store.close()

        outcome = asyncio.run(use_and_copy())

        assert outcome.code == 1
        assert "error: the database is in use by another program" in outcome.err

    def test_two_copies_do_not_meet_in_one_target(self, likewise):
        target = postgres_server().make_database()

        async def hold_and_copy():
            store = await open_store(target, alone=True)
            try:
                return await asyncio.to_thread(likewise, "copy", "--to", target)
            finally:
                await store.close()

        assert "in use by another program" in asyncio.run(hold_and_copy()).err
        assert run_apart(execute(target, "SELECT FROM likewise.names")) == []
