"""Keeping data while things happen: a server under load, processes killed at any moment, people who press Ctrl-C."""

import asyncio
import itertools
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import httpx2
import pytest

from likewise.errors import StoreError
from likewise.ndjson import encode_lines
from likewise.records import Counter, ListenerRecord, RatingRecord
from likewise.stores import open_store
from likewise.transfer import backups
from tests.contract.postgres_server import postgres_server, run_apart
from tests.e2e.server import dev_server, environment
from tests.house import LIKE_BODY

LISTENERS = 60
RATINGS_EACH = 1_000
KILLS = 5


def command(*arguments):
    return [sys.executable, "-m", "likewise", *map(str, arguments)]


def done(*arguments, seconds_max=120):
    """Run a command; return its exit code and what it said on stderr."""
    finished = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=seconds_max, check=False
    )
    return finished.returncode, finished.stderr


async def _fill(url):
    async def pages():
        yield [Counter(LISTENERS)]
        yield [ListenerRecord(id, f"listener-{id}", "us", RATINGS_EACH, 0, id) for id in range(1, LISTENERS + 1)]
        for listener in range(1, LISTENERS + 1):
            yield [
                RatingRecord(listener, 1, str(10_000 + number), 1, 1_763_337_600_000 + number, number + 1)
                for number in range(RATINGS_EACH)
            ]

    store = await open_store(url, alone=True)
    await store.load(pages())
    await store.close()


async def _lines(url):
    store = await open_store(url, create=False)
    try:
        async with store.snapshot() as snapshot:
            pages = backups.in_new_eras(snapshot.records(), lambda: 1)
            return b"".join([encode_lines(page) async for page in pages])
    finally:
        await store.close()


def lines_of(url):
    return run_apart(_lines(url))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A database that takes a while to copy."""
    url = f"sqlite:///{tmp_path_factory.mktemp('full')}/likewise.db"
    run_apart(_fill(url))
    return url


def killed_at_random(moments, *arguments):
    """Run a command and kill it after a while; yield after each time, until it is done before that."""
    for seconds in moments:
        with subprocess.Popen(
            command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        ) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        yield process.returncode


def moments(seed):
    """Longer and longer, so that each part of the work is cut short some time."""
    chance = random.Random(seed)
    return [0.2 + 0.25 * turn + chance.random() / 4 for turn in range(KILLS)]


# Killed


def test_a_copy_that_is_killed_is_never_taken_for_whole_and_goes_on(full, tmp_path):
    for name, target in [("postgres", postgres_server().make_database(is_empty=True)), ("sqlite", None)]:
        url = target or f"sqlite:///{tmp_path}/{name}.db"
        whole = lines_of(full)
        for code in killed_at_random(moments(1), "copy", "--from", full, "--to", url):
            try:
                found = lines_of(url)
            except StoreError:
                continue  # not begun, or unfinished
            # Before the first write, or after the last.
            assert found in {encode_lines([Counter(0)]), whole}
            assert code in {0, -signal.SIGKILL}

        assert done("copy", "--from", full, "--to", url)[0] == 0
        assert lines_of(url) == whole
        assert done("check", "--database", url)[0] == 0


def test_a_restore_that_is_killed_leaves_what_was_there(full, tmp_path):
    backup = tmp_path / "backup.ndjson"
    assert done("backup", backup, "--database", full)[0] == 0
    whole = lines_of(full)
    for url in (postgres_server().make_database(), f"sqlite:///{tmp_path}/likewise.db"):
        assert done("listener", "add", "somebody", "--database", url)[0] == 0
        before = lines_of(url)
        for _ in killed_at_random(moments(2), "restore", backup, "--replace", "--database", url):
            found = lines_of(url)
            # A counter may have counted on.
            assert found.partition(b"\n")[2] in {before.partition(b"\n")[2], whole.partition(b"\n")[2]}
            if found != before:
                break

        assert done("restore", backup, "--replace", "--database", url)[0] == 0
        assert lines_of(url) == whole


@pytest.mark.parametrize("name", ["backup.db", "backup.ndjson"])
def test_a_backup_that_is_killed_has_no_name(full, tmp_path, name):
    path = tmp_path / name
    for code in killed_at_random(moments(3), "backup", path, "--database", full):
        if path.exists():
            break  # perhaps killed just after
        assert code == -signal.SIGKILL
        assert all(each.name.startswith(f".{name}.") for each in tmp_path.iterdir())

    assert path.exists() or done("backup", path, "--database", full)[0] == 0
    assert done("restore", path, "--database", f"sqlite:///{tmp_path}/restored.db")[0] == 0
    assert lines_of(f"sqlite:///{tmp_path}/restored.db") == lines_of(full)


# Under load


@pytest.mark.parametrize("name", ["backup.db", "backup.ndjson"])
async def test_a_backup_under_load_is_a_moment_of_what_was_acknowledged(tmp_path, name):
    with dev_server(tmp_path / "data") as server:
        async with httpx2.AsyncClient(base_url=server.url, headers=server.headers()) as client:
            acknowledged = 0
            is_over = asyncio.Event()

            async def rate_on():
                nonlocal acknowledged
                for number in itertools.count(1):
                    response = await client.put(f"/v1/me/ratings/songs/{number:020}", content=LIKE_BODY)
                    assert response.status_code == 200
                    acknowledged = number
                    if is_over.is_set():
                        return

            rating = asyncio.create_task(rate_on())
            while acknowledged < 20:  # noqa: ASYNC110 - it is over in a moment
                await asyncio.sleep(0.01)
            before = acknowledged
            database = f"sqlite:///{tmp_path}/data/likewise.db"
            code, said = await asyncio.to_thread(done, "backup", tmp_path / name, "--database", database)
            after = acknowledged + 1  # one may be on disk that nobody has heard of yet
            code_of_restore, _ = await asyncio.to_thread(
                done, "restore", tmp_path / name, "--database", f"sqlite:///{tmp_path}/restored.db"
            )
            is_over.set()
            await rating
            assert (await asyncio.to_thread(done, "check", "--database", database))[0] == 0
            refused = await asyncio.to_thread(done, "restore", tmp_path / name, "--replace", "--database", database)

    assert (code, code_of_restore) == (0, 0), said
    assert refused[0] == 1
    assert "in use by another program" in refused[1]
    restored = apsw.Connection(str(tmp_path / "restored.db"))
    ids = [id for [id] in restored.execute("SELECT id FROM ratings ORDER BY id")]
    restored.close()
    assert ids == [f"{number:020}" for number in range(1, len(ids) + 1)]
    assert before <= len(ids) <= after


# Interrupted


def on_a_terminal(*arguments):
    """Run a command with stderr on a terminal; return the process and the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs, env=environment(TERM="xterm")
    )
    os.close(theirs)
    return process, ours


def said_on(terminal):
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # how a terminal ends
            piece = b""
        if not piece:
            os.close(terminal)
            return said.decode(errors="replace")
        said += piece


def test_progress_is_shown_on_a_terminal_and_the_last_line_says_what_was_done(full, tmp_path):
    process, terminal = on_a_terminal("backup", tmp_path / "backup.ndjson", "--database", full)

    said = said_on(terminal)

    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert "writing …" in said
    assert "reading again …" in said
    assert "backed up 60,000 ratings of 60 listeners" in said.splitlines()[-1]


@pytest.mark.parametrize("moment", [0, 0.3])
def test_ctrl_c_ends_a_copy_in_one_line_and_it_goes_on_later(full, tmp_path, moment):
    url = f"sqlite:///{tmp_path}/copy.db"
    process = subprocess.Popen(
        command("copy", "--from", full, "--to", url), stderr=subprocess.PIPE, text=True, env=environment()
    )
    while not Path(tmp_path, "copy.db").exists():
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    # On a fast machine it may have been done before.
    assert (process.returncode, said.strip()) == (1, "stopped") or said.startswith("copied ")
    assert done("copy", "--from", full, "--to", url)[0] == 0
    assert lines_of(url) == lines_of(full)


def test_ctrl_c_ends_a_restore_that_waits_for_its_input(tmp_path):
    url = f"sqlite:///{tmp_path}/likewise.db"
    process = subprocess.Popen(
        command("restore", "-", "--database", url), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdin is not None
    header = b'{"format":"likewise-backup","version":1,"schema":2,"likewise":"","taken":""}\n["counter",0]\n'
    process.stdin.write(header)
    process.stdin.flush()
    while not Path(tmp_path, "likewise.db-wal").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.read()
    process.stdin.close()
    process.stderr.close()

    assert process.wait(60) == 1
    assert said.strip() == b"stopped"
    # One that is still being begun when Ctrl-C comes stays, with nothing in it.
    assert not Path(tmp_path, "likewise.db").exists() or lines_of(url) == encode_lines([Counter(0)])


def test_whoever_reads_a_backup_may_stop_early(full):
    with subprocess.Popen(
        command("backup", "-", "--database", full), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"format"')
        process.stdout.close()

        assert process.wait(60) == 1
        assert process.stderr.read() == b""
