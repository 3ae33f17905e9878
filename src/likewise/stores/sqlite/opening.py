"""Opening a SQLite database: is it ours, is it current, and which errors mean what."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from likewise.errors import StoreError, StoreUnavailable, StoreUnusable
from likewise.store import CopyMark
from likewise.stores.migrating import Migration
from likewise.stores.rows import migrations_of

MEMORY = ":memory:"
BUSY_MILLISECONDS = 5_000
_APPLICATION_ID = 0x4C696B65
"""«Like» in ASCII, in the file's header, where `file` and SQLite's tools find it."""


def migrations() -> list[str]:
    return migrations_of("sqlite")


def connect(path: str, *, create: bool = False) -> apsw.Connection:
    """Open a connection with the settings that every connection of ours has."""
    if path == MEMORY:
        connection = apsw.Connection(path)
    else:
        if create and not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that no file can have
            _create_private(path)
        try:
            connection = _open(path)
        except apsw.CantOpenError as error:
            if os.path.exists(path):  # noqa: PTH110 - see above
                raise StoreUnavailable(
                    f"the database {path} cannot be opened", "check that it is a file you may read and write"
                ) from error
            raise StoreUnusable(
                f"there is no database {path}",
                "is the path right? `likewise listener add` or `likewise key add` begins one",
            ) from error
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    # Else SQLite plans some statements anew for each new binding, which took 4 µs of a look-up through json_each.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection


def _open(path: str) -> apsw.Connection:
    """Open a file to be written; one that may only be read to be read, and leave nothing beside that.

    Where a log lies beside it, somebody has it open or has left the newest writes there: then the log counts too.
    Else nobody writes to it, so it needs no lock and no log.
    """
    if not os.path.exists(path) or may_write(path) or os.path.exists(f"{path}-wal"):  # noqa: PTH110 - see connect
        return apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    return open_unchanging(Path(path))


def may_write(path: str) -> bool:
    """Say whether we may write the file, and its folder, where SQLite keeps the log."""
    return all(os.access(each, os.W_OK) for each in (path, Path(path).parent))


def open_unchanging(path: Path) -> apsw.Connection:
    """Open a file that nobody writes to, so that it may lie where nobody can, and nothing is left beside it."""
    uri = f"{path.absolute().as_uri()}?immutable=1"
    return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def prepare(connection: apsw.Connection, path: str, *, alone: bool = False, to_read: bool = False) -> None:
    """Check that the database is ours and bring it up to date.

    With `alone`, raise `StoreUnavailable` when anybody else has it open, and keep all others out until it is closed.
    With `to_read`, it need not be writable; then raise `StoreUnusable` where it is not up to date.
    """
    with _told(path):
        check_identity(connection, path)
        # Where the file may not be written, SQLite opens it to be read, and stays so when the permission is back.
        if not connection.readonly("main"):
            if alone:
                _claim(connection)
            _use_log(connection)
            connection.execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0")
            _migrate(connection, path)
        elif not to_read:
            raise StoreUnavailable(
                f"the database {path} cannot be written", "check the permissions of its file and folder"
            )
        elif not _is_current(connection):
            raise StoreUnusable(
                f"{path} may only be read, and has an older schema or none",
                "run `likewise migrate` as whoever may write it",
            )
        mark = copy_mark(connection)
    if mark is not None and not mark.is_whole and not alone:
        raise unfinished(path)


def migrate(path: str, *, dry_run: bool) -> Migration:
    """Bring the database at `path` up to date, or say what would be done."""
    newest = len(migrations())
    if path == MEMORY or (dry_run and not os.path.exists(path)):  # noqa: PTH110 - see connect
        return Migration(0, newest, [])
    connection = connect(path, create=not dry_run)
    try:
        with _told(path):
            check_identity(connection, path)
            _, before = _identity(connection)
        if not dry_run:
            prepare(connection, path)
    finally:
        connection.close()
    return Migration(before, newest, [])


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell what APSW raises as errors of ours."""
    try:
        yield
    except apsw.NotADBError as error:
        raise StoreUnusable(f"{path} is no SQLite database", "give another path in the database URL") from error
    except apsw.Error as error:
        raise unavailable(error) from error


def unfinished(path: str) -> StoreUnusable:
    return StoreUnusable(
        f"{path} is an unfinished copy of another database", "run the same `likewise copy` again, which goes on with it"
    )


def copy_mark(connection: apsw.Connection) -> CopyMark | None:
    if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'copy_mark'").get == 0:
        return None
    rows: list[tuple[Any, ...]] = connection.execute("SELECT is_whole, sha256 FROM copy_mark").fetchall()
    [[is_whole, sha256]] = rows
    return CopyMark(bool(is_whole), sha256)


def _claim(connection: apsw.Connection) -> None:
    connection.pragma("locking_mode", "exclusive")
    try:
        # Whoever has the database open is in its log, and SQLite cannot give that up before they have left.
        connection.pragma("journal_mode", "delete")
        connection.execute("BEGIN EXCLUSIVE; COMMIT")
    except apsw.BusyError as error:
        raise StoreUnavailable(
            "the database is in use by another program", "stop the server that has it open, then try again"
        ) from error


def unavailable(error: apsw.Error) -> StoreError:
    """Say what an SQLite error means for whoever asked."""
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return StoreUnavailable(
                "the database is locked by another program", "stop whatever holds a transaction open in it"
            )
        case apsw.FullError():
            return StoreUnavailable("the disk with the database is full", "make room, then try again")
        case apsw.ReadOnlyError() | apsw.CantOpenError():
            return StoreUnavailable("the database cannot be written", "check the permissions of its file and folder")
        case apsw.IOError():
            return StoreUnavailable("the disk with the database fails, or is full", "make room, or look after the disk")
        case apsw.CorruptError():
            return StoreUnavailable("the database is damaged", "restore it from a backup")
        case _:
            return StoreUnavailable(f"the database failed ({error})", "is it whole? check it with SQLite's tools")


def _create_private(path: str) -> None:
    """Create the file for its owner alone; SQLite gives its log the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"the database {path} cannot be created ({error.strerror})", "check that its folder exists and is yours"
        ) from error


def check_identity(connection: apsw.Connection, path: str) -> None:
    # In this order: what another program begins meanwhile has its id as soon as it has its tables.
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    application_id, version = _identity(connection)
    if application_id != _APPLICATION_ID and not (is_empty and application_id == 0):
        raise StoreUnusable(f"{path} is a database of another program", "give another path in the database URL")
    newest = len(migrations())
    if version > newest:
        raise StoreUnusable(
            f"{path} was written by a newer Likewise (schema {version}, this one knows {newest})",
            "upgrade this Likewise",
        )


def _identity(connection: apsw.Connection) -> tuple[int, int]:
    return connection.pragma("application_id"), connection.pragma("user_version")


def _use_log(connection: apsw.Connection) -> None:
    # SQLite does not wait for a lock when it changes the journal mode, so we do.
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1_000
    while True:
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_current(connection: apsw.Connection) -> bool:
    return _identity(connection) == (_APPLICATION_ID, len(migrations()))


def _migrate(connection: apsw.Connection, path: str) -> None:
    known = migrations()
    if _is_current(connection):
        return
    # The lock comes first: of several programs that start at once, one migrates and the others find it done.
    connection.execute("BEGIN IMMEDIATE")
    try:
        check_identity(connection, path)
        _, version = _identity(connection)
        for migration in known[version:]:
            connection.execute(migration)
        connection.pragma("application_id", _APPLICATION_ID)
        connection.pragma("user_version", len(known))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
