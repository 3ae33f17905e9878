"""`likewise backup`, `restore`, `check` and `copy`: keeping data, and moving it."""

import json
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import click

from likewise import __version__
from likewise.cli.common import (
    counted,
    database_option,
    database_url,
    json_option,
    now,
    opened_store,
    run,
    show,
    tell,
    warn_of_password,
)
from likewise.cli.files import is_same_file, new_file, opened, pieces, read
from likewise.cli.progress import Bars, bars
from likewise.cli.terminal import harmless
from likewise.errors import BadFile, BadSetting
from likewise.ndjson import Lines
from likewise.records import Counter, ListenerRecord, RatingRecord, Record
from likewise.store import Store
from likewise.stores import schema_version, sqlite_path
from likewise.stores.sqlite.files import MAGIC, back_up, take_out
from likewise.transfer import backups
from likewise.transfer.checking import check as check_store
from likewise.transfer.copying import copy as copy_store

SQLITE, NDJSON = "sqlite", "ndjson"
_ERAS = 2**53 - 1
_PARTS_OF_A_DATABASE = ("", "-wal", "-shm", "-journal")

Counts = Mapping[type[Record], int]


# Backup


@click.command()
@click.argument("file")
@click.option(
    "--format",
    type=click.Choice([SQLITE, NDJSON]),
    help="A SQLite file, or JSON, one record a line. [default: sqlite, from SQLite to a file not named ….ndjson]",
)
@click.option("--force", is_flag=True, help="Replace FILE where there is one.")
@database_option
@json_option
def backup(file: str, format: str | None, force: bool, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Back up everything, as it is at one moment, into FILE (- for standard output).

    Servers go on writing meanwhile. FILE is for its owner alone, and has its name once all of it was written, read
    again and found good.

    On PostgreSQL spread over several machines (Citus), each machine has a moment of its own: what was written during
    the backup may be in it for one listener and not for another.
    """
    url = database_url(database)
    path = sqlite_path(url)
    to_stdout = file == "-"
    default_format = NDJSON if file.endswith((".ndjson", ".jsonl")) else SQLITE
    if to_stdout and as_json:
        raise BadSetting("standard output is taken by the backup", "give --json with a file")
    if format == SQLITE and (path is None or to_stdout):
        raise BadSetting(
            "a SQLite file is made from a SQLite database, and not on standard output", "leave out --format"
        )
    if path is not None and any(is_same_file(file, path + suffix) for suffix in _PARTS_OF_A_DATABASE):
        raise BadSetting(f"{file} is the database itself", "give the backup another name")
    with bars() as shown:
        if to_stdout:
            counts = run(_write_lines(url, _write_to_stdout, shown))
        else:
            with new_file(file, replace=force) as temporary:
                if path is not None and (format or default_format) == SQLITE:
                    counts = back_up(path, temporary, lambda done, total: shown.reach("copying", done, total))
                else:
                    counts = run(_write_file(url, temporary, shown))
    ratings, listeners = counts[RatingRecord], counts[ListenerRecord]
    tell(
        {"file": file, "listeners": listeners, "ratings": ratings},
        as_json=as_json,
        sentence=f"backed up {_said(ratings, listeners)}",
    )


def _said(ratings: int, listeners: int) -> str:
    return f"{counted(ratings, 'rating')} of {counted(listeners, 'listener')}, tombstones included"


def _write_to_stdout(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


async def _write_file(url: str, path: Path, shown: Bars) -> Counts:
    with path.open("wb") as file:
        counts = await _write_lines(url, file.write, shown)
    with opened(str(path)) as handle:
        async for page in backups.read(pieces(handle)):
            shown.advance("reading again", len(page), sum(counts.values()))
    return counts


async def _write_lines(url: str, write: Callable[[bytes], object], shown: Bars) -> Counts:
    lines, reader = Lines(), backups.Reader()

    def out(text: bytes) -> None:
        # Nothing leaves that could not be read again.
        for block in lines.take(text):
            reader.take(block)
        write(text)

    async with opened_store(url, to_read=True) as store, store.snapshot() as snapshot:
        counts = await snapshot.counts()
        writing = backups.write(snapshot, out, schema=schema_version(url), likewise=__version__, taken=now())
        async for records in writing:
            shown.advance("writing", records, sum(counts.values()))
    reader.end()
    return counts


# Restore


@click.command()
@click.argument("file")
@click.option("--replace", is_flag=True, help="Forget everything that is in the database now.")
@database_option
@json_option
def restore(file: str, replace: bool, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Put a backup, SQLite file or NDJSON, into a database that is empty. FILE may be - for standard input.

    All of it is restored, or nothing changes. No server may use the database meanwhile, and none can.
    """
    url = database_url(database)
    with bars() as shown, opened(file) as handle:
        begun = run(_first_bytes(handle))
        if begun.startswith(MAGIC):
            counts = _restore_sqlite(url, file, handle, begun, shown, replace=replace)
        else:
            counts = run(_restore_lines(url, handle, begun, shown, replace=replace))
    ratings, listeners = counts[RatingRecord], counts[ListenerRecord]
    tell(
        {"file": file, "listeners": listeners, "ratings": ratings},
        as_json=as_json,
        sentence=f"restored {_said(ratings, listeners)}",
    )


async def _first_bytes(handle: int) -> bytes:
    """Read enough to know what this is."""
    begun = b""
    while len(begun) < len(MAGIC) and (piece := await read(handle)):
        begun += piece
    return begun


async def _restore_lines(url: str, handle: int, begun: bytes, shown: Bars, *, replace: bool) -> Counts:
    size = os.fstat(handle).st_size if _can_be_read_again(handle) else None

    async def shown_pieces() -> AsyncGenerator[bytes]:
        async for piece in pieces(handle, begun):
            shown.advance("restoring", len(piece), size)
            yield piece

    async with aclosing(backups.read(shown_pieces())) as pages:
        return await _load(url, pages, replace=replace)


def _restore_sqlite(url: str, name: str, handle: int, begun: bytes, shown: Bars, *, replace: bool) -> Counts:
    """Restore from a copy of the file, which may be brought up to date without a change to the backup."""
    with tempfile.TemporaryDirectory(prefix="likewise-restore-") as folder:
        path = Path(name)
        if name == "-" or not _can_be_read_again(handle):
            path = Path(folder, "received.db")
            run(_receive(handle, begun, path))
        copy = Path(folder, "copy.db")
        copy.touch(mode=0o600)
        said = "the backup" if name == "-" else name
        take_out(path, copy, lambda done, total: shown.reach("reading", done, total), name=said)
        return run(_restore_store(url, f"sqlite:///{copy}", shown, replace=replace))


def _can_be_read_again(handle: int) -> bool:
    """Say whether this is a file, and not a pipe, whose beginning is gone once it was read."""
    return stat.S_ISREG(os.fstat(handle).st_mode)


async def _receive(handle: int, begun: bytes, path: Path) -> None:
    try:
        with path.open("wb") as file:
            async for piece in pieces(handle, begun):
                file.write(piece)
    except OSError as error:
        raise BadFile(f"what comes in cannot be kept in {path} ({error.strerror})", "make room in TMPDIR") from error


async def _restore_store(url: str, source_url: str, shown: Bars, *, replace: bool) -> Counts:
    async with opened_store(source_url) as store, store.snapshot() as snapshot:
        total = sum((await snapshot.counts()).values())

        async def shown_pages() -> AsyncGenerator[Sequence[Record]]:
            async for page in backups.checked(snapshot.records()):
                shown.advance("restoring", len(page), total)
                yield page

        return await _load(url, shown_pages(), replace=replace)


async def _load(url: str, pages: AsyncIterator[Sequence[Record]], *, replace: bool) -> Counts:
    counts: dict[type[Record], int] = {ListenerRecord: 0, RatingRecord: 0}
    first = await anext(pages)  # what is no backup is refused before the database is opened, and perhaps begun

    async def tallied() -> AsyncGenerator[Sequence[Record]]:
        page: Sequence[Record] | None = first
        while page is not None:
            for kind in counts:
                counts[kind] += sum(type(record) is kind for record in page)
            yield page
            page = await anext(pages, None)

    async with _begun_store(url) as store:
        await store.load(backups.in_new_eras(tallied(), lambda: secrets.randbelow(_ERAS) + 1), replace=replace)
    return counts


@asynccontextmanager
async def _begun_store(url: str) -> AsyncGenerator[Store]:
    """Open a store alone; where there was no file and the work fails, leave none."""
    new_path = _path_of_none(url)
    async with opened_store(url, create=True, alone=True) as store:
        try:
            yield store
        except BaseException:
            # Somebody may have begun it and gone between our look and our opening it: what holds anything stays.
            if new_path is not None and await _is_empty(store):
                _remove_database(new_path)
            raise


def _path_of_none(url: str) -> str | None:
    """Return the path of a SQLite URL where there is no file yet."""
    path = sqlite_path(url)
    return None if path is None or Path(path).exists() else path


async def _is_empty(store: Store) -> bool:
    async with store.snapshot() as snapshot:
        counts = await snapshot.counts()
    return not any(count for record, count in counts.items() if record is not Counter)


def _remove_database(path: str) -> None:
    for suffix in _PARTS_OF_A_DATABASE:
        Path(path + suffix).unlink(missing_ok=True)


# Check


@click.command()
@database_option
@json_option
def check(database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Look whether the database is whole: exit code 0 when it is, 1 with a list of what is not.

    Servers go on meanwhile. It reads everything once or twice, and takes memory for a part of it only.
    """
    url = database_url(database)
    with bars() as shown:
        findings, counts = run(_check(url, shown))
    if as_json:
        found = [{"finding": text, "rows": rows} for text, rows in findings]
        click.echo(harmless(json.dumps({"records": counts, "findings": found}, ensure_ascii=False)))
    else:
        show([{"records": name, "number": number} for name, number in counts.items()], as_json=False, empty="")
        for text, rows in findings:
            click.echo(harmless(f"{counted(rows, 'row')}: {text}"))
        click.echo("nothing contradicts itself" if not findings else "the database is not whole", err=True)
    if findings:
        sys.exit(1)


async def _check(url: str, shown: Bars) -> Any:
    async with opened_store(url, to_read=True) as store:
        return await check_store(store, progress=lambda done, total: shown.advance("checking", done, total))


# Copy


@click.command()
@click.option("--from", "source", metavar="URL", help="The database to copy. [variable: LIKEWISE_DATABASE]")
@click.option("--to", "target", metavar="URL", required=True, help="The database to copy it to, which is empty.")
@json_option
def copy(source: str | None, target: str, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Copy a database into another one, SQLite or PostgreSQL, and compare both.

    What was interrupted goes on when the same command is given again; until it is done, no server takes the target.
    Given again later, while nobody has written to the target, it copies what has changed in the source since.
    """
    from_url = database_url(source)
    warn_of_password(target, flag="--to")
    paths = sqlite_path(from_url), sqlite_path(target)
    if from_url == target or (paths[0] and paths[1] and is_same_file(paths[0], paths[1])):
        raise BadSetting("both URLs name the same database", "name another one after --to")
    with bars() as shown:
        copied = run(_copy(from_url, target, shown))
    digest = copied.sha256.hex()
    written = counted(copied.written, "record")
    tell(
        {"written": copied.written, "records": copied.records, "sha256": digest},
        as_json=as_json,
        sentence=f"copied {written}; both have {copied.records:,} now, with the digest {digest[:16]}…",
    )


async def _copy(source_url: str, target_url: str, shown: Bars) -> Any:
    async with (
        opened_store(source_url, to_read=True) as source,
        opened_store(target_url, create=True, alone=True) as target,
        source.snapshot() as snapshot,
    ):
        total = sum((await snapshot.counts()).values())
        return await copy_store(snapshot, target, progress=lambda what, done: shown.advance(what, done, total))
