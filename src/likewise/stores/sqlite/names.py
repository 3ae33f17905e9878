"""What items are called: learned on the writer thread, looked up where it is asked for."""

from collections.abc import Collection, Sequence
from typing import Any

import apsw

from likewise.domain import Clue, Item, ItemName, Kind
from likewise.stores.rows import CATALOG, item_name_of, learned, name_row
from likewise.stores.sqlite.writes import check_listener

_FACTS = ("title", "artist", "album", "isrc", "musicbrainz_id")
_COLUMNS = f"kind, id, {', '.join(_FACTS)}"

# What says nothing new writes nothing, so that a file read again costs no disk.
_LEARN = f"""
INSERT INTO item_names (listener, {_COLUMNS}, title_key, artist_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE
SET {", ".join(f"{fact} = ifnull(excluded.{fact}, {fact})" for fact in (*_FACTS, "title_key", "artist_key"))}
WHERE {" OR ".join(f"ifnull(excluded.{fact}, {fact}) IS NOT {fact}" for fact in _FACTS)}
"""  # noqa: S608 - our own words

_NAMES = f"""
SELECT {_COLUMNS} FROM item_names WHERE listener = ? AND kind = ? AND id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - our own words

_CLUES = {
    Clue.ISRC: "isrc = ?",
    Clue.MUSICBRAINZ_ID: "musicbrainz_id = ?",
    Clue.MATCH_KEY: ("title_key || char(10) || artist_key = ? AND title_key IS NOT NULL AND artist_key IS NOT NULL"),
}

# Without being told, SQLite reads all names in the order that is asked for.
_NAMED = {
    clue: f"""
SELECT {_COLUMNS}
FROM item_names INDEXED BY item_names_by_{clue.value}
WHERE listener = ? AND {test}
ORDER BY kind, id
LIMIT ?
"""  # noqa: S608 - our own words
    for clue, test in _CLUES.items()
}


def learn(connection: apsw.Connection, *, listener: int | None, names: Sequence[ItemName]) -> None:
    for name in learned(names):
        connection.execute(_LEARN, (_owner(connection, listener, name.item), *name_row(name)))


def _owner(connection: apsw.Connection, listener: int | None, item: Item) -> int:
    if not item.kind.is_library:
        return CATALOG
    owner = listener or CATALOG  # nobody, who is no listener either
    check_listener(connection, owner)
    return owner


def names_of(connection: apsw.Connection, *, listener: int | None, items: Collection[Item]) -> list[ItemName]:
    ids_of_kinds: dict[Kind, list[str]] = {}
    for kind, id in items:
        ids_of_kinds.setdefault(kind, []).append(id)
    found: list[ItemName] = []
    for kind, ids in ids_of_kinds.items():
        owner = listener if kind.is_library else CATALOG
        # Ids are well formed, so none holds a character that JSON would escape.
        rows: Any = connection.execute(_NAMES, (owner, kind.number, '["' + '","'.join(ids) + '"]'))
        found += (item_name_of(*row) for row in rows)
    return found


def named(
    connection: apsw.Connection, *, listener: int | None, clue: Clue, texts: Collection[str], limit: int
) -> dict[str, list[ItemName]]:
    found: dict[str, list[ItemName]] = {}
    for text in texts:
        rows: list[Any] = []
        for owner in (CATALOG, listener):
            rows += connection.execute(_NAMED[clue], (owner, text, limit - len(rows)))
        if rows:
            found[text] = [item_name_of(*row) for row in rows]
    return found
