"""The point reads that gather, in two ways: what many ask for as one statement, or each listener's as its own.

Where one machine has everything, one statement for many costs least. Where listeners lie on many machines, a statement
about one of them goes to one machine, and a statement about many to all.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from likewise.domain import DeveloperKey, Item, Rating, UserToken
from likewise.stores.rows import VALUES, user_token_of

Fetch: TypeAlias = Callable[..., Awaitable[list[Any]]]
"""Takes a statement and its arguments, returns its rows."""

# The order of what was asked is its number.
_RATINGS_OF_MANY = """
SELECT asked.number, ratings.value, ratings.time
FROM unnest($1::bigint[], $2::smallint[], $3::text[]) WITH ORDINALITY AS asked (listener, kind, id, number)
LEFT JOIN likewise.library
    ON asked.kind >= 6 AND library.listener = asked.listener AND library.kind = asked.kind AND library.id = asked.id
JOIN likewise.ratings
    ON ratings.listener = asked.listener
    AND ratings.kind = CASE WHEN library.twin IS NULL THEN asked.kind ELSE asked.kind - 5 END
    AND ratings.id = coalesce(library.twin, asked.id)
WHERE ratings.value <> 0 AND library.is_dead IS NOT TRUE
"""

RATINGS_OF_ONE = """
SELECT asked.number, ratings.value, ratings.time
FROM unnest($2::smallint[], $3::text[]) WITH ORDINALITY AS asked (kind, id, number)
LEFT JOIN likewise.library
    ON asked.kind >= 6 AND library.listener = $1 AND library.kind = asked.kind AND library.id = asked.id
JOIN likewise.ratings
    ON ratings.listener = $1
    AND ratings.kind = CASE WHEN library.twin IS NULL THEN asked.kind ELSE asked.kind - 5 END
    AND ratings.id = coalesce(library.twin, asked.id)
WHERE ratings.value <> 0 AND library.is_dead IS NOT TRUE
"""

# One table and no join: Citus plans it once, and from then on only looks up the machine.
CATALOG_RATINGS_OF_ONE = """
SELECT id, value, time FROM likewise.ratings WHERE listener = $1 AND kind = $2 AND id = ANY($3::text[]) AND value <> 0
"""

KEYS = "SELECT id, team_id, public_key, created, revoked FROM likewise.developer_keys"

USER_TOKENS = """
SELECT digest, id, listener, name, storefront, team_id, created, expires, revoked FROM likewise.user_tokens
"""
USER_TOKEN = f"{USER_TOKENS} WHERE digest = $1"
_USER_TOKENS_OF_MANY = f"{USER_TOKENS} WHERE digest = ANY($1)"


class Read(NamedTuple):
    listener: int
    items: Sequence[Item]


def listener_of(read: Read) -> int:
    return read.listener


def itself(digest: bytes) -> bytes:
    return digest


async def ratings_of_many(fetch: Fetch, reads: Sequence[Read]) -> list[list[Rating]]:
    asked = [(read.listener, item) for read in reads for item in read.items]
    rows = await fetch(
        _RATINGS_OF_MANY,
        [listener for listener, _ in asked],
        [item.kind.number for _, item in asked],
        [item.id for _, item in asked],
    )
    found = {number - 1: Rating(asked[number - 1][1], VALUES[value], time) for number, value, time in rows}
    answers = []
    first = 0
    for read in reads:
        past = first + len(read.items)
        answers.append([found[number] for number in range(first, past) if number in found])
        first = past
    return answers


async def ratings_of_one(fetch: Fetch, reads: Sequence[Read]) -> list[list[Rating]]:
    """Answer reads that are all of one listener."""
    listener = reads[0].listener
    items = list(dict.fromkeys(item for read in reads for item in read.items))
    ids = [item.id for item in items]
    kinds = {item.kind for item in items}
    if len(kinds) == 1 and not items[0].kind.is_library:
        [kind] = kinds
        rows = await fetch(CATALOG_RATINGS_OF_ONE, listener, kind.number, ids)
        rated = [(Item(kind, id), value, time) for id, value, time in rows]
    else:
        rows = await fetch(RATINGS_OF_ONE, listener, [item.kind.number for item in items], ids)
        rated = [(items[number - 1], value, time) for number, value, time in rows]
    found = {item: Rating(item, VALUES[value], time) for item, value, time in rated}
    return [[found[item] for item in read.items if item in found] for read in reads]


async def user_tokens_of_many(fetch: Fetch, digests: Sequence[bytes]) -> list[UserToken | None]:
    found = {digest: user_token_of(*row) for digest, *row in await fetch(_USER_TOKENS_OF_MANY, digests)}
    return [found.get(digest) for digest in digests]


async def user_tokens_of_one(fetch: Fetch, digests: Sequence[bytes]) -> list[UserToken | None]:
    """Answer look-ups of one digest."""
    rows = await fetch(USER_TOKEN, digests[0])
    token = user_token_of(*rows[0][1:]) if rows else None
    return [token] * len(digests)


async def developer_keys_of_many(fetch: Fetch, ids: Sequence[str]) -> list[DeveloperKey | None]:
    rows = await fetch(f"{KEYS} WHERE id = ANY($1)", ids)
    found = {row["id"]: DeveloperKey(*row) for row in rows}
    return [found.get(id) for id in ids]
