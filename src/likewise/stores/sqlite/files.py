"""A SQLite database as a file: copied page by page as it is at one moment, and checked."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import apsw

from likewise.errors import BadFile, StoreUnavailable, StoreUnusable
from likewise.records import Record
from likewise.store import Finding
from likewise.stores.sqlite.keeping import integrity_findings, quick_findings
from likewise.stores.sqlite.opening import (
    check_identity,
    connect,
    copy_mark,
    migrations,
    open_unchanging,
    unavailable,
    unfinished,
)
from likewise.stores.tables import TABLES

MAGIC = b"SQLite format 3\0"
"""How every SQLite file begins."""

_PAGES_AT_ONCE = 256
_STEPS_BETWEEN_LOOKS = 1_000_000
_ANOTHER = "take another backup, or another copy of this one"

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many pages of how many are copied."""


def back_up(path: str, target: Path, progress: Progress) -> Mapping[type[Record], int]:
    """Copy the database, in use or not, into the empty file `target`, check what arrived, and return how much.

    Who writes to it is not held up, and what is written meanwhile is not in the copy. Raise `StoreUnusable` for what
    is no database of ours, `StoreUnavailable` for one that is damaged or contradicts itself, `BadFile` where there is
    no room.
    """
    try:
        with _opened(connect(path)) as source:
            check_identity(source, path)
            if _is_blank(source):
                raise StoreUnusable(f"there is no Likewise in {path}", "give the path of its database")
            mark = copy_mark(source)
            if mark is not None and not mark.is_whole:
                raise unfinished(path)
            _copy(source, target, progress)
        with _opened(apsw.Connection(str(target))) as copy:
            for finding in _findings(copy):
                raise StoreUnavailable(
                    f"the database contradicts itself: {finding.text}",
                    "see `likewise check`; a backup with --format ndjson has whatever can be read",
                )
            return _counts(copy)
    except apsw.Error as error:
        raise unavailable(error) from error


def _findings(connection: apsw.Connection) -> Iterator[Finding]:
    if connection.pragma("user_version") == len(migrations()):
        return quick_findings(connection)
    return integrity_findings(connection)  # it is backed up before an upgrade, and lacks tables to ask


def _counts(connection: apsw.Connection) -> Mapping[type[Record], int]:
    return {
        record: connection.execute(f"SELECT count(*) FROM {table.name}").get  # noqa: S608 - our own names
        for record, table in TABLES.items()
        if connection.table_exists(None, table.name)
    }


def take_out(path: Path, target: Path, progress: Progress, *, name: str) -> None:
    """Copy a backup into the empty file `target`, so that it stays as it is.

    Raise `BadFile` when it is damaged, or where there is no room. `name` is what whoever handed it in calls it.
    """
    try:
        with _opened(_opened_for_reading(path)) as source:
            check_identity(source, name)
            if _is_blank(source):
                raise BadFile(f"{name} is no backup of Likewise", "give a file made with `likewise backup`")
            _copy(source, target, progress)
        with _opened(apsw.Connection(str(target))) as copy:
            for finding in integrity_findings(copy):
                raise BadFile(f"{name} is damaged: {finding.text}", _ANOTHER)
    except apsw.Error as error:
        raise BadFile(f"{name} is damaged ({error})", _ANOTHER) from error


def _opened_for_reading(path: Path) -> apsw.Connection:
    """Open a database that may lie where nobody can write, and leave nothing beside it."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    return open_unchanging(path)


def _is_blank(connection: apsw.Connection) -> bool:
    """Say whether this is a database in which nobody has begun anything yet."""
    return bool(connection.pragma("user_version") == 0)


@contextmanager
def _opened(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    # Between its steps SQLite lets Python look for Ctrl-C.
    connection.set_progress_handler(lambda: False, _STEPS_BETWEEN_LOOKS)
    try:
        yield connection
    finally:
        connection.close()


def _copy(source: apsw.Connection, target: Path, progress: Progress) -> None:
    try:
        _copy_pages(source, target, progress)
    except apsw.FullError as error:
        raise BadFile(
            f"there is no room in {target.parent}",
            "make room there; a SQLite file is copied into TMPDIR before it is restored",
        ) from error


def _copy_pages(source: apsw.Connection, target: Path, progress: Progress) -> None:
    # The moment of a copy in one transaction stays the same, however many pages others write meanwhile.
    source.execute("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    with _opened(apsw.Connection(str(target))) as copy:
        # What is cut short is thrown away, so no journal; what is finished is synced by whoever gives it its name.
        copy.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
        with copy.backup("main", source, "main") as copying:
            while not copying.done:
                copying.step(_PAGES_AT_ONCE)
                progress(copying.page_count - copying.remaining, copying.page_count)
        # Without a log, so that the file stands alone.
        copy.pragma("journal_mode", "delete")
