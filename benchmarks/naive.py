"""PostgreSQL as one would ask it at first: a statement and a commit for each request, through asyncpg's pool.

It numbers no changes, follows no links and knows no dead ids, so it does less than the store it is compared with.
"""

from collections.abc import Sequence

import likewise.app
from likewise.domain import KINDS_BY_NUMBER, Change, Item, Listener, Rating, Time, Value
from likewise.store import Store
from likewise.stores.postgres import PostgresStore

_GET = """
SELECT kind, id, value, time
FROM likewise.ratings
WHERE listener = $1 AND kind = ANY ($2) AND id = ANY ($3) AND value <> 0
"""

_PUT = """
INSERT INTO likewise.ratings (listener, kind, id, value, time, change)
VALUES ($1, $2, $3, $4, $5, 0)
ON CONFLICT (listener, kind, id) DO UPDATE SET value = EXCLUDED.value, time = EXCLUDED.time
"""


class NaiveStore(PostgresStore):
    async def get(self, listener: Listener, items: Sequence[Item]) -> list[Rating]:
        kinds = [item.kind.number for item in items]
        rows = await self._pool.fetch(_GET, listener.id, kinds, [item.id for item in items])
        return [Rating(Item(KINDS_BY_NUMBER[kind], id), Value(value), time) for kind, id, value, time in rows]

    async def write(self, listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        for item, value, *_ in changes:
            await self._pool.execute(_PUT, listener.id, item.kind.number, item.id, value or 0, now)
        return [True] * len(changes)


def take_over() -> None:
    """From now on, applications in this process are opened on this store."""
    likewise.app.open_store = _open  # type: ignore[attr-defined, assignment]  # a name that it imports; asks for less


async def _open(url: str, *, create: bool = True, alone: bool = False) -> Store:
    return await NaiveStore.open(url, create=create, alone=alone)
