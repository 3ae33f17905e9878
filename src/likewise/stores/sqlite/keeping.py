"""Everything at once in SQLite: a moment of it, taking over another store, and what contradicts itself."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from typing import Any, TypeAlias

import apsw

from likewise.errors import NotEmpty
from likewise.records import NOBODY, Counter, LibraryRecord, Record
from likewise.store import CopyMark, Finding, Snapshot
from likewise.stores.sqlite.opening import copy_mark, unavailable
from likewise.stores.tables import (
    LISTENERS_AT_ONCE,
    PAGE_RECORDS,
    TABLES,
    Check,
    Table,
    checks,
    contradiction,
    finding_text,
    row_of,
)

Run: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function where a connection's statements belong: on a thread of its own, or right here."""

_LAST_LISTENER = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'listeners'"

_COUNT_LISTENER = """
UPDATE sqlite_sequence SET seq = max(seq, :last) WHERE name = 'listeners';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'listeners', :last WHERE NOT EXISTS (SELECT * FROM sqlite_sequence WHERE name = 'listeners')
"""

_MARK = """
DROP TABLE IF EXISTS copy_mark;
CREATE TABLE copy_mark (is_whole INTEGER NOT NULL, sha256 BLOB NOT NULL) STRICT;
INSERT INTO copy_mark VALUES (?, ?)
"""


# Reading


class SQLiteSnapshot(Snapshot):
    """A moment of a database, on a connection that is in a transaction, or that nobody writes on meanwhile."""

    def __init__(self, connection: apsw.Connection, run: Run) -> None:
        self._connection = connection
        self._run = run

    async def counts(self) -> Mapping[type[Record], int]:
        return {Counter: 1} | {
            record: (await self._fetch(f"SELECT count(*) FROM {table.name}"))[0][0]  # noqa: S608 - our own names
            for record, table in TABLES.items()
        }

    async def records(self, listeners: Collection[int] | None = None) -> AsyncGenerator[Sequence[Record]]:
        [[last]] = await self._fetch(_LAST_LISTENER)
        yield [Counter(last)]
        for table in TABLES.values():
            for sql, bindings in _selects(table, listeners):
                rows = self._connection.cursor()
                await self._run(partial(_execute, rows, sql, bindings))
                while page := await self._run(partial(_page, rows, table.record)):
                    yield page

    async def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = await self._run(lambda: _execute(self._connection.cursor(), sql, ()).fetchall())
        return rows


def _selects(table: Table, listeners: Collection[int] | None) -> Iterator[tuple[str, Sequence[int]]]:
    """Return the statements that read a table, or what it has of these listeners."""
    select = f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608 - our own names
    if listeners is None or table.listener is None:
        if listeners is None or NOBODY in listeners:
            yield f"{select} ORDER BY {table.order}", ()
        return
    ids = sorted(listeners)
    for start in range(0, len(ids), LISTENERS_AT_ONCE):
        some = ids[start : start + LISTENERS_AT_ONCE]
        places = ", ".join("?" * len(some))
        yield f"{select} WHERE {table.listener} IN ({places}) ORDER BY {table.order}", some


def _execute(cursor: apsw.Cursor, sql: str, bindings: Sequence[Any]) -> apsw.Cursor:
    try:
        return cursor.execute(sql, bindings)
    except apsw.Error as error:
        raise unavailable(error) from error


def _page(rows: apsw.Cursor, record: type[Record]) -> list[Record]:
    try:
        page: list[tuple[Any, ...]] = list(islice(rows, PAGE_RECORDS))
    except apsw.Error as error:
        raise unavailable(error) from error
    if record is LibraryRecord:
        return [LibraryRecord(*row[:-1], bool(row[-1])) for row in page]  # type: ignore[call-arg]  # SQLite has no bool
    return [record(*row) for row in page]


def findings(connection: apsw.Connection) -> Iterator[Finding]:
    """Look for what contradicts itself."""
    try:
        yield from quick_findings(connection)
        for check in checks(schema=""):
            if check.is_slow:
                yield from _findings(connection, check)
    except apsw.Error as error:
        raise unavailable(error) from error


def quick_findings(connection: apsw.Connection) -> Iterator[Finding]:
    """Look for what contradicts itself and can be found in about the time it takes to read everything."""
    yield from integrity_findings(connection)
    for check in checks(schema=""):
        if not check.is_slow:
            yield from _findings(connection, check)


def integrity_findings(connection: apsw.Connection) -> Iterator[Finding]:
    """Look for damage to the file, as SQLite sees it; at most a hundred places are named."""
    rows: Iterable[Any] = connection.execute("PRAGMA integrity_check")
    for [text] in rows:
        for line in text.splitlines():
            if line != "ok" and not line.startswith("***"):
                yield Finding(f"damage to the file: {line}", 1)


def _findings(connection: apsw.Connection, check: Check) -> Iterator[Finding]:
    answer: list[tuple[Any, ...]] = connection.execute(check.sql).fetchall()
    [[rows, listener]] = answer
    if rows:
        yield Finding(finding_text(check.text, listener), rows)


# Writing: each of these inside a transaction


def begin_load(connection: apsw.Connection, *, replace: bool) -> None:
    is_empty = not connection.execute(
        "SELECT EXISTS (SELECT * FROM listeners) OR EXISTS (SELECT * FROM developer_keys)"
        " OR EXISTS (SELECT * FROM item_names)"  # all else belongs to a listener
    ).get
    if not is_empty and not replace:
        raise NotEmpty("the database is not empty", "give --replace to put this in its place, or another database")
    for table in reversed(list(TABLES.values())):
        connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - our own names
    connection.execute("DROP TABLE IF EXISTS copy_mark")


def finish_load(connection: apsw.Connection) -> None:
    """Raise `BadFile` for records that contradict one another in ways that no constraint forbids."""
    for check in checks(schema=""):
        if not check.is_slow:
            for text, rows in _findings(connection, check):
                raise contradiction(f"{rows} {text}")


def insert(connection: apsw.Connection, records: Iterable[Record]) -> None:
    for kind, same in groupby(records, type):
        if kind is Counter:
            for counter in same:
                connection.execute(_COUNT_LISTENER, {"last": counter.listener})  # type: ignore[union-attr]  # is one
            continue
        table = TABLES[kind]
        columns = (*table.columns, *table.derived)
        places = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - our own names
        try:
            connection.executemany(sql, map(row_of, same))
        except apsw.ConstraintError as error:
            raise contradiction(str(error)) from error


def amend(connection: apsw.Connection, *, remove: Collection[int], records: Sequence[Record], mark: CopyMark) -> None:
    for table in reversed(list(TABLES.values())):
        if table.listener is not None:
            sql = f"DELETE FROM {table.name} WHERE {table.listener} = ?"  # noqa: S608 - our own names
            connection.executemany(sql, ((id,) for id in remove))
    if NOBODY in remove:
        connection.execute("DELETE FROM developer_keys")
    insert(connection, records)
    if copy_mark(connection) != mark:
        connection.execute(_MARK, (mark.is_whole, mark.sha256))
