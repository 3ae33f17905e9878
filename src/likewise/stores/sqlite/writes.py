"""What the writer thread does: jobs inside one transaction, each a function of the connection first."""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from likewise.domain import TWINS, Change, DeveloperKey, Item, Keep, Time, UserToken
from likewise.errors import AlreadyExists, LinkRefused, ListenerRemoved, NoSuchKey, NoSuchListener, NoSuchThing
from likewise.stores.rows import dead, taken

REFUSALS = (AlreadyExists, LinkRefused, ListenerRemoved, NoSuchThing)
"""What a job may raise because of what it was asked."""

JOB_FAULTS = (*REFUSALS, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError)
"""What is one job's own fault, and must not fail the others that share its transaction."""

_TOMBSTONE = 0

# Two statements: one with RETURNING takes three times as long, for SQLite builds a table of what it returns.
_LAST_CHANGE = "SELECT changes FROM listeners WHERE id = ?"

_COUNT_CHANGE = "UPDATE listeners SET changes = ? WHERE id = ?"

_GET = "SELECT value, time FROM ratings WHERE listener = ? AND kind = ? AND id = ?"

_PUT = """
INSERT INTO ratings (listener, kind, id, value, time, change)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, time = excluded.time, change = excluded.change
"""

# What is stored already and stays is decided by the statement that writes, for a look before it costs as much again.
_PUT_UNLESS: dict[Keep | None, str] = {
    None: f"{_PUT} WHERE (ratings.value, ratings.time) IS NOT (excluded.value, excluded.time)",
    Keep.NEWER: f"{_PUT} WHERE ratings.time < excluded.time",
    Keep.RATED: f"{_PUT} WHERE ratings.value = {_TOMBSTONE}",
}

_FORGET = "DELETE FROM ratings WHERE listener = ? AND kind = ? AND id = ? AND change = ? AND value = 0"

_COUNT_FORGOTTEN = "UPDATE listeners SET forgotten = max(forgotten, ?) WHERE id = ?"

_LIBRARY_ROW = "SELECT twin, is_dead FROM library WHERE listener = ? AND kind = ? AND id = ?"

_LIVE_TWIN = "SELECT id FROM library WHERE listener = ? AND kind = ? AND twin = ? AND NOT is_dead"

_ADD = "INSERT INTO library (listener, kind, id, twin, added, change) VALUES (?, ?, ?, ?, ?, ?)"

_RELINK = "UPDATE library SET twin = ? WHERE listener = ? AND kind = ? AND id = ?"

_KILL = "UPDATE library SET is_dead = 1, change = ? WHERE listener = ? AND kind = ? AND id = ?"


def in_transaction(connection: apsw.Connection, jobs: Sequence[Callable[[apsw.Connection], Any]]) -> list[Any]:
    """Run the jobs and commit: when this returns, what they wrote is on disk. Raise what any of them raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [job(connection) for job in jobs]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return outcomes


# Ratings


class _Numbers:
    """The change numbers of one listener: looked up when the first is needed, counted once when the job is done."""

    def __init__(self, connection: apsw.Connection, listener: int) -> None:
        self._connection = connection
        self._listener = listener
        self._known: int | None = None
        self._last = 0

    def next(self) -> int:
        if self._known is None:
            row = self._connection.execute(_LAST_CHANGE, (self._listener,)).fetchone()
            if row is None:
                raise ListenerRemoved
            self._known = self._last = row[0]
        self._last += 1
        return self._last

    def give_back(self) -> None:
        """Say that nobody has used the last one."""
        self._last -= 1

    def count(self) -> bool:
        """Write down the last one; say whether there was any."""
        if self._known is None or self._known == self._last:
            return False
        self._connection.execute(_COUNT_CHANGE, (self._last, self._listener))
        return True


def write(connection: apsw.Connection, *, listener: int, changes: Sequence[Change], now: Time) -> list[bool]:
    numbers = _Numbers(connection, listener)
    done = [_apply(connection, listener, change, now, numbers) for change in changes]
    if not numbers.count():
        check_listener(connection, listener)
    return done


def _apply(connection: apsw.Connection, listener: int, change: Change, now: Time, numbers: _Numbers) -> bool:
    item, value, only, time, unless = change
    if item.kind.is_library:
        place = _stored_at(connection, listener, item)
        if place is None:
            return False
    else:
        place = item
    moment = now if time is None else time
    if value is None:
        if unless is not None and _is_kept(connection, listener, place, unless, moment):
            return False
        return _clear(connection, listener, place, only, moment, numbers)
    if place is item and item.kind.is_library:
        _meet(connection, listener, item, now, numbers)
    if time is None and unless is None:
        _set(connection, listener, place, int(value), now, numbers)
        return True
    bindings = (listener, place.kind.number, place.id, int(value), moment, numbers.next())
    connection.execute(_PUT_UNLESS[unless], bindings)
    is_done = connection.changes() == 1
    if not is_done:
        numbers.give_back()
    return is_done


def _is_kept(connection: apsw.Connection, listener: int, place: Item, unless: Keep, time: Time) -> bool:
    """Say whether what is stored is not to be cleared."""
    row = connection.execute(_GET, (listener, place.kind.number, place.id)).fetchone()
    if row is None:
        return False
    return bool(row[1] >= time if unless is Keep.NEWER else row[0] != _TOMBSTONE)


def _stored_at(connection: apsw.Connection, listener: int, item: Item) -> Item | None:
    """Find where a library item's rating is: under its twin, under itself, or (dead) nowhere."""
    row = connection.execute(_LIBRARY_ROW, (listener, item.kind.number, item.id)).fetchone()
    if row is None:
        return item
    twin, is_dead = row
    if is_dead:
        return None
    return item if twin is None else Item(TWINS[item.kind], twin)


def _meet(connection: apsw.Connection, listener: int, item: Item, now: Time, numbers: _Numbers) -> None:
    if connection.execute(_LIBRARY_ROW, (listener, item.kind.number, item.id)).fetchone() is None:
        bindings = (listener, item.kind.number, item.id, None, now, numbers.next())
        connection.execute(_ADD, bindings)


def _set(connection: apsw.Connection, listener: int, item: Item, value: int, time: Time, numbers: _Numbers) -> None:
    connection.execute(_PUT, (listener, item.kind.number, item.id, value, time, numbers.next()))


def _clear(
    connection: apsw.Connection, listener: int, item: Item, only: int | None, time: Time, numbers: _Numbers
) -> bool:
    row = connection.execute(_GET, (listener, item.kind.number, item.id)).fetchone()
    if row is None or row[0] == _TOMBSTONE or (only is not None and row[0] != only):
        return False
    _set(connection, listener, item, _TOMBSTONE, time, numbers)
    return True


def check_listener(connection: apsw.Connection, listener: int) -> None:
    if connection.execute("SELECT 1 FROM listeners WHERE id = ?", (listener,)).fetchone() is None:
        raise ListenerRemoved


def forget(connection: apsw.Connection, *, listener: int, tombstones: Sequence[tuple[int, str, int]]) -> int:
    """Remove tombstones, each a kind, an id and a change number, unless they have changed since; say how many."""
    gone = 0
    for kind, id, change in tombstones:
        connection.execute(_FORGET, (listener, kind, id, change))
        if connection.changes():
            gone += 1
            connection.execute(_COUNT_FORGOTTEN, (change, listener))
    return gone


# The library


def add(connection: apsw.Connection, *, listener: int, links: Sequence[tuple[Item, Item]], now: Time) -> None:
    numbers = _Numbers(connection, listener)
    for library_item, catalog_item in links:
        kind = library_item.kind.number
        if connection.execute(_LIVE_TWIN, (listener, kind, catalog_item.id)).fetchone() is None:
            connection.execute(_ADD, (listener, kind, library_item.id, catalog_item.id, now, numbers.next()))
    numbers.count()


def link(connection: apsw.Connection, *, listener: int, library_item: Item, catalog_item: Item, now: Time) -> None:
    kind, id = library_item
    numbers = _Numbers(connection, listener)
    change = numbers.next()
    row = connection.execute(_LIBRARY_ROW, (listener, kind.number, id)).fetchone()
    other = connection.execute(_LIVE_TWIN, (listener, kind.number, catalog_item.id)).fetchone()
    if row is not None and row[1]:
        raise dead(library_item)
    if other is not None and other[0] != id:
        raise taken(catalog_item, other[0])
    if row is None:
        connection.execute(_ADD, (listener, kind.number, id, catalog_item.id, now, change))
    else:
        connection.execute(_RELINK, (catalog_item.id, listener, kind.number, id))
        if row[0] is None:
            _merge(connection, listener, library_item, catalog_item, now, numbers)
    numbers.count()


def _merge(
    connection: apsw.Connection, listener: int, upload: Item, catalog_item: Item, now: Time, numbers: _Numbers
) -> None:
    """Let an upload's rating become that of its catalog item, unless that has one which is as new or newer."""
    own = connection.execute(_GET, (listener, upload.kind.number, upload.id)).fetchone()
    if own is None or own[0] == _TOMBSTONE:
        return
    catalog = connection.execute(_GET, (listener, catalog_item.kind.number, catalog_item.id)).fetchone()
    if catalog is None or catalog[0] == _TOMBSTONE or own[1] > catalog[1]:
        _set(connection, listener, catalog_item, own[0], own[1], numbers)
    _set(connection, listener, upload, _TOMBSTONE, now, numbers)


def unlink(connection: apsw.Connection, *, listener: int, item: Item, now: Time) -> bool:
    row = connection.execute(_LIBRARY_ROW, (listener, item.kind.number, item.id)).fetchone()
    if row is None or row[1]:
        return False
    numbers = _Numbers(connection, listener)
    if row[0] is None:
        _clear(connection, listener, item, None, now, numbers)
    connection.execute(_KILL, (numbers.next(), listener, item.kind.number, item.id))
    numbers.count()
    return True


# Listeners


def add_listener(connection: apsw.Connection, *, name: str, storefront: str) -> int:
    if connection.execute("SELECT 1 FROM listeners WHERE name = ?", (name,)).fetchone():
        raise AlreadyExists(f"there is a listener {name!r} already", "see `likewise listener list`")
    connection.execute("INSERT INTO listeners (name, storefront) VALUES (?, ?)", (name, storefront))
    return connection.last_insert_rowid()


def remove_listener(connection: apsw.Connection, *, name: str) -> None:
    row = connection.execute("SELECT id FROM listeners WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NoSuchListener(name)
    [listener] = row
    for table in ("ratings", "library", "item_names", "user_tokens"):
        connection.execute(f"DELETE FROM {table} WHERE listener = ?", (listener,))  # noqa: S608 - our own names
    connection.execute("DELETE FROM listeners WHERE id = ?", (listener,))


# Keys and tokens


def add_developer_key(connection: apsw.Connection, *, key: DeveloperKey) -> None:
    if connection.execute("SELECT 1 FROM developer_keys WHERE id = ?", (key.id,)).fetchone():
        raise AlreadyExists(f"there is a developer key {key.id} already", "see `likewise key list`")
    connection.execute("INSERT INTO developer_keys VALUES (?, ?, ?, ?, ?)", tuple(key))


def revoke_developer_key(connection: apsw.Connection, *, key_id: str, now: Time) -> None:
    if connection.execute("SELECT 1 FROM developer_keys WHERE id = ?", (key_id,)).fetchone() is None:
        raise NoSuchKey(key_id)
    connection.execute("UPDATE developer_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, key_id))


def add_user_token(connection: apsw.Connection, *, digest: bytes, token: UserToken) -> None:
    check_listener(connection, token.listener.id)
    bindings = (digest, token.id, token.listener.id, token.team_id, token.created, token.expires, token.revoked)
    connection.execute("INSERT INTO user_tokens VALUES (?, ?, ?, ?, ?, ?, ?)", bindings)


def revoke_user_token(connection: apsw.Connection, *, token_id: str, now: Time) -> None:
    if connection.execute("SELECT 1 FROM user_tokens WHERE id = ?", (token_id,)).fetchone() is None:
        raise NoSuchThing(f"there is no music user token {token_id}", "see `likewise token list NAME`")
    connection.execute("UPDATE user_tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, token_id))


# Chores


def begin_chore(connection: apsw.Connection, *, chore: str, every: int, now: Time) -> bool:
    row = connection.execute("SELECT time FROM chores WHERE name = ?", (chore,)).fetchone()
    if row is not None and now - every < row[0] <= now:
        return False
    connection.execute("INSERT INTO chores VALUES (?, ?) ON CONFLICT DO UPDATE SET time = excluded.time", (chore, now))
    return True
