"""Lists, the change feed and the names of items in PostgreSQL: reads of one listener's rows, each one statement.

One statement sees one moment. Each names one listener, or the catalog; none joins names with ratings.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias

from likewise.domain import ChangesPage, Clue, History, Item, ItemName, Kind, Listener, Place, RatingsPage, Time, Value
from likewise.errors import ListenerRemoved
from likewise.stores.rows import CATALOG, changed_of, item_name_of, listed_rating_of, place_of

Fetch: TypeAlias = Callable[..., Awaitable[list[Any]]]

_MATCHING = """
FROM likewise.ratings
WHERE listener = $1 AND value <> 0
    AND ($2::smallint IS NULL OR value = $2)
    AND ($3::smallint[] IS NULL OR kind = ANY($3))
"""

# A page past the end is one row that has total and history only.
_NEWEST = f"""
SELECT
    (SELECT count(*) {_MATCHING}) AS total, listeners.changes, listeners.forgotten, listeners.era,
    page.kind, page.id, page.value, page.time, library.id
FROM likewise.listeners
LEFT JOIN (
    SELECT listener, kind, id, value, time
    {_MATCHING}
        AND ($4::bigint IS NULL OR time < $4 OR (time = $4 AND (kind, id) > ($5, $6)))
    ORDER BY time DESC, kind, id
    LIMIT $7
) AS page ON true
LEFT JOIN likewise.library
    ON library.listener = $1 AND library.kind = page.kind + 5 AND library.twin = page.id AND NOT library.is_dead
WHERE listeners.id = $1
ORDER BY page.time DESC, page.kind, page.id
"""  # noqa: S608 - our own words

# Where nothing is new, the ratings are not looked at.
_CHANGES = """
SELECT listeners.changes, listeners.forgotten, listeners.era, page.kind, page.id, page.value, page.time, page.change
FROM likewise.listeners
LEFT JOIN LATERAL (
    SELECT kind, id, value, time, change
    FROM likewise.ratings
    WHERE listener = $1 AND change > $2 AND listeners.changes > $2
    ORDER BY change
    LIMIT $3
) AS page ON true
WHERE listeners.id = $1
ORDER BY page.change
"""

_TOMBSTONES = """
SELECT kind, id, change
FROM likewise.ratings
WHERE listener = $1 AND value = 0 AND time < $2
ORDER BY change
LIMIT $3
"""

_COLUMNS = "names.kind, names.id, title, artist, album, isrc, musicbrainz_id"

_NAMES = f"""
SELECT {_COLUMNS}
FROM unnest($2::smallint[], $3::text[]) AS asked (kind, id)
JOIN likewise.item_names AS names ON names.listener = $1 AND names.kind = asked.kind AND names.id = asked.id
"""  # noqa: S608 - our own words

_CLUES = {
    Clue.ISRC: "isrc = asked.text",
    Clue.MUSICBRAINZ_ID: "musicbrainz_id = asked.text",
    Clue.MATCH_KEY: (
        "(title_key || E'\\n' || artist_key) = asked.text AND title_key IS NOT NULL AND artist_key IS NOT NULL"
    ),
}

_NAMED = {
    clue: f"""
SELECT asked.text, {_COLUMNS}
FROM unnest($2::text[]) AS asked (text)
CROSS JOIN LATERAL (
    SELECT * FROM likewise.item_names WHERE listener = $1 AND {test} ORDER BY kind, id LIMIT $3
) AS names
ORDER BY names.kind, names.id
"""  # noqa: S608 - our own words
    for clue, test in _CLUES.items()
}


async def newest_ratings(
    fetch: Fetch,
    listener: Listener,
    *,
    after: Place | None,
    limit: int,
    kinds: Collection[Kind] | None,
    value: Value | None,
) -> RatingsPage:
    numbers = None if kinds is None else [kind.number for kind in kinds]
    time, item = after or (None, None)
    rows = await fetch(_NEWEST, listener.id, value, numbers, time, *place_of(item), limit)
    if not rows:
        raise ListenerRemoved
    total, *history = rows[0][:4]
    ratings = [listed_rating_of(*row[4:]) for row in map(tuple, rows) if row[4] is not None]
    return RatingsPage(ratings, total, History(*history))


async def changes(fetch: Fetch, listener: Listener, *, after: int, limit: int) -> ChangesPage:
    rows = await fetch(_CHANGES, listener.id, after, limit)
    if not rows:
        raise ListenerRemoved
    found = [changed_of(*row[3:]) for row in map(tuple, rows) if row[3] is not None]
    return ChangesPage(found, History(*rows[0][:3]))


async def tombstones(fetch: Fetch, listener: Listener, *, before: Time, limit: int) -> list[Any]:
    return await fetch(_TOMBSTONES, listener.id, before, limit)


async def names_of(fetch: Fetch, listener: Listener | None, items: Collection[Item]) -> list[ItemName]:
    found: list[ItemName] = []
    for owner, owned in by_owner(listener, items).items():
        kinds, ids = [item.kind.number for item in owned], [item.id for item in owned]
        found += [item_name_of(*row) for row in await fetch(_NAMES, owner, kinds, ids)]
    return found


def by_owner(listener: Listener | None, items: Collection[Item]) -> dict[int, list[Item]]:
    """Part items into those of the catalog and the listener's own; nobody has a library item for nobody."""
    owned: dict[int, list[Item]] = {}
    for item in items:
        if not item.kind.is_library:
            owned.setdefault(CATALOG, []).append(item)
        elif listener is not None:
            owned.setdefault(listener.id, []).append(item)
    return owned


async def named(
    fetch: Fetch, listener: Listener | None, clue: Clue, texts: Collection[str], *, limit: int
) -> dict[str, list[ItemName]]:
    found: dict[str, list[ItemName]] = {}
    for owner in (CATALOG, *([listener.id] if listener else [])):
        for text, *row in await fetch(_NAMED[clue], owner, list(texts), limit):
            candidates = found.setdefault(text, [])
            if len(candidates) < limit:
                candidates.append(item_name_of(*row))
    return found
