"""The store in PostgreSQL, for services that outgrow one file; with Citus, for those that outgrow one machine.

Writes are one call each of a function in the database (`migrations/postgres`); those that gather while a commit is
under way go down together: one round trip, one commit. Point reads gather in the same way, and so do look-ups of
developer keys and user tokens (`reads.py`). How all of it travels, and how long it may, is in `trips.py`; what is about
everything at once (`keeping.py`) has no deadline.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Self

from likewise.domain import (
    KINDS_BY_NUMBER,
    TWINS,
    Change,
    ChangesPage,
    Clue,
    DeveloperKey,
    Item,
    ItemName,
    Kind,
    LibraryItem,
    LibraryPage,
    Listener,
    Place,
    Rating,
    RatingsPage,
    Time,
    UserToken,
    Value,
)
from likewise.errors import AlreadyExists, ListenerRemoved, NoSuchKey, NoSuchListener, NoSuchThing
from likewise.records import Record
from likewise.store import CopyMark, Finding
from likewise.stores.migrating import Migration, OnStep
from likewise.stores.postgres import keeping, lists
from likewise.stores.postgres.connecting import Connection
from likewise.stores.postgres.opening import claim, copy_mark, migrate, open_pool
from likewise.stores.postgres.reads import KEYS, USER_TOKENS, Read
from likewise.stores.postgres.trips import PostgresTrips, outcome_of
from likewise.stores.rows import VALUES, dead, learned, library_item_of, name_row, place_of, taken, user_token_of

REMOVE_SECONDS_MAX = 60.0
"""Removing a listener deletes all that the listener has ever rated, and is asked for by an operator, who can wait."""

_WRITE = "SELECT likewise.write($1, $2, $3, $4, $5, $6, $7, $8)"
_FORGET = "SELECT likewise.forget($1, $2, $3, $4)"
_LEARN = "SELECT likewise.learn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_ADD = "SELECT likewise.add($1, $2, $3, $4, $5)"
_LINK = "SELECT likewise.link($1, $2, $3, $4, $5)"
_UNLINK = "SELECT likewise.unlink($1, $2, $3, $4)"

_RATINGS_PAGE = """
SELECT kind, id, value, time
FROM likewise.ratings
WHERE listener = $1 AND (kind, id) > ($2, $3) AND value <> 0
ORDER BY kind, id
LIMIT $4
"""

_LIBRARY_ITEMS = """
SELECT library.kind, library.id, twin, added
FROM unnest($2::smallint[], $3::text[]) AS asked (kind, id)
JOIN likewise.library ON library.listener = $1 AND library.kind = asked.kind AND library.id = asked.id
WHERE NOT is_dead
"""

_LIBRARY_TWIN = """
SELECT kind, id, twin, added FROM likewise.library WHERE listener = $1 AND kind = $2 AND twin = $3 AND NOT is_dead
"""

_LIBRARY = """
SELECT kind, id, twin, added
FROM likewise.library
WHERE listener = $1 AND (kind, id) > ($2, $3) AND NOT is_dead
ORDER BY kind, id
LIMIT $4
"""

# The page and the size of the whole are of one moment. A page past the end is one row that has the size only.
_LIBRARY_PAGE = """
SELECT size.total, page.kind, page.id, page.twin, page.added
FROM (SELECT count(*) AS total FROM likewise.library WHERE listener = $1 AND kind = $2 AND NOT is_dead) AS size
LEFT JOIN (
    SELECT kind, id, twin, added, change
    FROM likewise.library
    WHERE listener = $1 AND kind = $2 AND NOT is_dead
    ORDER BY added DESC, change DESC
    LIMIT $3 OFFSET $4
) AS page ON true
ORDER BY page.added DESC, page.change DESC
"""

_BEGIN_CHORE = """
INSERT INTO likewise.chores AS known
VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET time = excluded.time
WHERE known.time <= $2::bigint - $3::bigint OR known.time > $2::bigint
RETURNING name
"""

_LISTENER_TO_STAY = "SELECT id FROM likewise.listeners WHERE id = $1 FOR KEY SHARE"
_INSERT_USER_TOKEN = "INSERT INTO likewise.user_tokens VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"  # noqa: S105 - SQL
_LISTENERS = "SELECT listener, name, storefront FROM likewise.names"


class PostgresStore(PostgresTrips):
    """One database, and whatever is asked of it."""

    @classmethod
    async def open(cls, url: str, *, create: bool, alone: bool = False, to_read: bool = False) -> Self:  # noqa: ARG003 - who may only read, a standby too, may open it
        """Open the database and bring its schema up to date; the errors are those of `likewise.stores.open_store`."""
        opened = await open_pool(url, create=create, alone=alone)
        return cls(url, opened, await claim(url) if alone else None)

    @classmethod
    async def migrate(cls, url: str, *, dry_run: bool, on_step: OnStep) -> Migration:
        """Bring the database up to date, as `likewise.stores.migrate` says."""
        return await migrate(url, dry_run=dry_run, on_step=on_step)

    # Ratings

    async def get(self, listener: Listener, items: Sequence[Item]) -> list[Rating]:
        return await outcome_of(self._reads.submit(Read(listener.id, items)))

    async def write(self, listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        done: list[bool] | None = await self._submit(
            _WRITE,
            listener.id,
            [change.item.kind.number for change in changes],
            [change.item.id for change in changes],
            [change.value for change in changes],
            [change.only for change in changes],
            # NULL for none at all, as most writes have.
            [change.time for change in changes] if any(change.time is not None for change in changes) else None,
            [change.unless and change.unless.number for change in changes]
            if any(change.unless for change in changes)
            else None,
            now,
        )
        if done is None:
            raise ListenerRemoved
        return done

    async def ratings(self, listener: Listener, *, after: Item | None, limit: int) -> list[Rating]:
        rows = await self._fetch(_RATINGS_PAGE, listener.id, *place_of(after), limit)
        return [Rating(Item(KINDS_BY_NUMBER[kind], id), VALUES[value], time) for kind, id, value, time in rows]

    async def newest_ratings(
        self,
        listener: Listener,
        *,
        after: Place | None,
        limit: int,
        kinds: Collection[Kind] | None = None,
        value: Value | None = None,
    ) -> RatingsPage:
        return await lists.newest_ratings(
            self._fetch_in_turn, listener, after=after, limit=limit, kinds=kinds, value=value
        )

    async def changes(self, listener: Listener, *, after: int, limit: int) -> ChangesPage:
        return await lists.changes(self._fetch_in_turn, listener, after=after, limit=limit)

    async def forget(self, listener: Listener, *, before: Time, limit: int) -> int:
        tombstones = await lists.tombstones(self._fetch, listener, before=before, limit=limit)
        if not tombstones:
            return 0
        gone: int = await self._submit(_FORGET, listener.id, *map(list, zip(*tombstones, strict=True)))
        return gone

    # Names

    async def learn(self, listener: Listener | None, names: Sequence[ItemName]) -> None:
        by_item = {name.item: name for name in learned(names)}
        parts = lists.by_owner(listener, by_item)
        if sum(map(len, parts.values())) < len(by_item):
            raise ListenerRemoved
        for owner, items in parts.items():
            columns = zip(*(name_row(by_item[item]) for item in items), strict=True)
            if await self._submit(_LEARN, owner, *map(list, columns)) is None:
                raise ListenerRemoved

    async def names(self, listener: Listener | None, items: Collection[Item]) -> list[ItemName]:
        return await lists.names_of(self._fetch, listener, items)

    async def named(
        self, listener: Listener | None, clue: Clue, texts: Collection[str], *, limit: int
    ) -> dict[str, list[ItemName]]:
        return await lists.named(self._fetch, listener, clue, texts, limit=limit)

    # The library

    async def add(self, listener: Listener, links: Sequence[tuple[Item, Item]], *, now: Time) -> None:
        kinds = [library_item.kind.number for library_item, _ in links]
        ids = [library_item.id for library_item, _ in links]
        twins = [catalog_item.id for _, catalog_item in links]
        if await self._submit(_ADD, listener.id, kinds, ids, twins, now) is None:
            raise ListenerRemoved

    async def link(self, listener: Listener, library_item: Item, catalog_item: Item, *, now: Time) -> None:
        kind, id = library_item
        outcome = await self._submit(_LINK, listener.id, kind.number, id, catalog_item.id, now)
        if outcome is None:
            raise ListenerRemoved
        if outcome == "dead":
            raise dead(library_item)
        if outcome:
            raise taken(catalog_item, outcome)

    async def unlink(self, listener: Listener, library_item: Item, *, now: Time) -> bool:
        kind, id = library_item
        was_there: bool = await self._submit(_UNLINK, listener.id, kind.number, id, now)
        return was_there

    async def library_items(self, listener: Listener, items: Sequence[Item]) -> list[LibraryItem]:
        kinds = [item.kind.number for item in items]
        rows = await self._fetch(_LIBRARY_ITEMS, listener.id, kinds, [item.id for item in items])
        found = {each.item: each for each in (library_item_of(*row) for row in rows)}
        return [found[item] for item in items if item in found]

    async def library_twin(self, listener: Listener, catalog_item: Item) -> LibraryItem | None:
        kind = TWINS.get(catalog_item.kind)
        if kind is None:
            return None
        rows = await self._fetch(_LIBRARY_TWIN, listener.id, kind.number, catalog_item.id)
        return library_item_of(*rows[0]) if rows else None

    async def library_page(self, listener: Listener, kind: Kind, *, limit: int, offset: int) -> LibraryPage:
        rows = await self._fetch_in_turn(_LIBRARY_PAGE, listener.id, kind.number, limit, offset)
        return LibraryPage([library_item_of(*row) for _, *row in rows if row[0] is not None], rows[0][0])

    async def library(self, listener: Listener, *, after: Item | None, limit: int) -> list[LibraryItem]:
        return [library_item_of(*row) for row in await self._fetch(_LIBRARY, listener.id, *place_of(after), limit)]

    # Listeners

    async def add_listener(self, name: str, storefront: str) -> Listener:
        async def work(connection: Connection) -> int | None:
            async with connection.transaction():
                id: int = await connection.fetchval("SELECT nextval('likewise.listener_ids')")
                named = await connection.fetchval(
                    "INSERT INTO likewise.names VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name",
                    name,
                    id,
                    storefront,
                )
                if named is None:
                    return None
                await connection.execute("INSERT INTO likewise.listeners (id) VALUES ($1)", id)
                return id

        id = await self._call(work)
        if id is None:
            raise AlreadyExists(f"there is a listener {name!r} already", "see `likewise listener list`")
        return Listener(id, name, storefront)

    async def listener(self, name: str) -> Listener:
        rows = await self._fetch(f"{_LISTENERS} WHERE name = $1", name)
        if not rows:
            raise NoSuchListener(name)
        return Listener(*rows[0])

    async def listeners(self, *, after: str = "", limit: int | None = None) -> list[Listener]:
        rows = await self._fetch(f"{_LISTENERS} WHERE name > $1 ORDER BY name LIMIT $2", after, limit)
        return [Listener(*row) for row in rows]

    async def remove_listener(self, name: str) -> None:
        async def work(connection: Connection) -> int | None:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = '{REMOVE_SECONDS_MAX:.0f}s'")
                id: int | None = await connection.fetchval(
                    "DELETE FROM likewise.names WHERE name = $1 RETURNING listener", name
                )
                if id is not None:
                    await connection.execute("DELETE FROM likewise.listeners WHERE id = $1", id)
                    for table in ("ratings", "library", "item_names", "user_tokens"):
                        await connection.execute(f"DELETE FROM likewise.{table} WHERE listener = $1", id)  # noqa: S608 - our own names
                return id

        if await self._call(work, seconds_max=REMOVE_SECONDS_MAX) is None:
            raise NoSuchListener(name)

    # Developer keys

    async def add_developer_key(self, key: DeveloperKey) -> None:
        added = await self._fetch(
            "INSERT INTO likewise.developer_keys VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id", *key
        )
        if not added:
            raise AlreadyExists(f"there is a developer key {key.id} already", "see `likewise key list`")

    async def developer_key(self, key_id: str) -> DeveloperKey | None:
        return await outcome_of(self._key_reads.submit(key_id))

    async def developer_keys(self) -> list[DeveloperKey]:
        return [DeveloperKey(*row) for row in await self._fetch(f"{KEYS} ORDER BY created, id")]

    async def revoke_developer_key(self, key_id: str, *, now: Time) -> None:
        if not await self._revoke("developer_keys", key_id, now):
            raise NoSuchKey(key_id)

    async def _revoke(self, table: str, id: str, now: Time) -> bool:
        sql = f"UPDATE likewise.{table} SET revoked = coalesce(revoked, $2) WHERE id = $1 RETURNING id"  # noqa: S608 - our own names
        return bool(await self._fetch(sql, id, now))

    # Music user tokens

    async def add_user_token(self, digest: bytes, token: UserToken) -> None:
        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                # Locked, so that whoever removes the listener meanwhile finds the token and removes it too.
                is_there = await connection.fetchval(_LISTENER_TO_STAY, token.listener.id)
                if is_there:
                    await connection.execute(_INSERT_USER_TOKEN, digest, token.id, *token.listener, *token[2:])
                return bool(is_there)

        if not await self._call(work):
            raise ListenerRemoved

    async def user_token(self, digest: bytes) -> UserToken | None:
        return await outcome_of(self._token_reads.submit(digest))

    async def user_tokens(self, listener: Listener) -> list[UserToken]:
        rows = await self._fetch(f"{USER_TOKENS} WHERE listener = $1 ORDER BY created, id", listener.id)
        return [user_token_of(*row) for _digest, *row in rows]

    async def revoke_user_token(self, token_id: str, *, now: Time) -> None:
        if not await self._revoke("user_tokens", token_id, now):
            raise NoSuchThing(f"there is no music user token {token_id}", "see `likewise token list NAME`")

    # Everything at once

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[keeping.PostgresSnapshot]:
        async with keeping.moment(self._url) as connection:
            yield keeping.PostgresSnapshot(connection)

    async def check(self) -> AsyncGenerator[Finding]:
        async with keeping.moment(self._url) as connection:
            async for finding in keeping.findings(connection):
                yield finding

    async def load(self, pages: AsyncIterator[Sequence[Record]], *, replace: bool = False) -> None:
        async with keeping.transaction(self._url, self._claim) as connection:
            await keeping.load(connection, pages, replace=replace)

    async def amend(self, *, remove: Collection[int], records: Sequence[Record], mark: CopyMark) -> None:
        async with keeping.transaction(self._url, self._claim) as connection:
            await keeping.amend(connection, remove=remove, records=records, mark=mark)

    async def copy_mark(self) -> CopyMark | None:
        return await self._call(copy_mark)

    async def begin_chore(self, chore: str, *, every: int, now: Time) -> bool:
        return bool(await self._fetch(_BEGIN_CHORE, chore, now, every))

    async def ping(self) -> None:
        await self._fetch("SELECT FROM likewise.schema")
