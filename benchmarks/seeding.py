"""A crowd with ratings and real tokens, the same for every database, and what requests.lua wants to know about it.

Nothing is random but the developer's key: who rated what comes from the number of the listener, so two databases, or a
database and the requests, agree without anybody remembering a million ratings.
"""

import base64
import json
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from likewise.app import now
from likewise.domain import Kind
from likewise.records import Counter, KeyRecord, ListenerRecord, RatingRecord, Record, TokenRecord
from likewise.stores import open_store
from likewise.tokens import (
    REMEMBERED_MAX,
    USER_TOKEN_BYTES,
    digest_of,
    generate_private_key,
    mint_developer_token,
    read_public_key,
    user_token_expiry,
)

TEAM_ID, KEY_ID = "DEF123GHIJ", "ABC123DEFG"
COLD_TOKENS = 3 * REMEMBERED_MAX
"""Asked in turn, each is forgotten before it comes again, by two workers too."""
ASKED_MAX = 1_000
IDS_ASKED_MAX = 100
ROWS_AT_ONCE = 10_000


class Crowd(NamedTuple):
    listeners: int = 1_000
    each: int = 100


class Account(NamedTuple):
    """A listener; `ratings` is by the id of the song, in the order of ids."""

    id: int
    token: str
    ratings: dict[str, int]


def account(number: int, crowd: Crowd) -> Account:
    """Make up a listener, from 1 on; the same each time."""
    chance = random.Random(number)
    token = base64.b64encode(chance.randbytes(USER_TOKEN_BYTES)).decode()
    ids = sorted(map(str, chance.sample(range(100_000_000, 2_000_000_000), crowd.each)))
    return Account(number, token, dict(zip(ids, chance.choices((1, -1), k=crowd.each), strict=True)))


async def seed(url: str, private_key: bytes, crowd: Crowd = Crowd()) -> None:  # noqa: B008 - it cannot be changed
    """Write the crowd into an empty database."""
    store = await open_store(url, alone=True)
    try:
        await store.load(_pages(private_key, crowd))
    finally:
        await store.close()


async def _pages(private_key: bytes, crowd: Crowd) -> AsyncGenerator[Sequence[Record]]:
    moment = now()
    numbers = range(1, crowd.listeners + 1)
    yield [Counter(crowd.listeners)]
    yield [KeyRecord(KEY_ID, TEAM_ID, read_public_key(private_key), moment, None)]
    for some in _in_pieces(numbers, ROWS_AT_ONCE):
        yield [ListenerRecord(id, f"listener-{id}", "us", crowd.each, 0, id) for id in some]
    for some in _in_pieces(numbers, ROWS_AT_ONCE):
        yield [_token_record(id, crowd, moment) for id in some]
    for some in _in_pieces(numbers, max(1, ROWS_AT_ONCE // crowd.each)):
        yield [record for id in some for record in _rating_records(account(id, crowd), moment)]


def _token_record(id: int, crowd: Crowd, moment: int) -> TokenRecord:
    digest = digest_of(account(id, crowd._replace(each=0)).token.encode())
    return TokenRecord(id, digest, f"benchmark{id:07}", TEAM_ID, moment, user_token_expiry(moment), None)


def _rating_records(rater: Account, moment: int) -> Iterator[RatingRecord]:
    changes = random.Random(-rater.id).sample(range(1, len(rater.ratings) + 1), len(rater.ratings))
    for change, (id, value) in zip(changes, rater.ratings.items(), strict=True):
        yield RatingRecord(rater.id, Kind.SONG.number, id, value, moment - 1_000_000 + change, change)


def _in_pieces(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def asked(crowd: Crowd) -> Iterator[Account]:
    """Choose whom the requests come from: at most 1000, spread evenly, each for at most 100 of their songs."""
    for number in range(1, crowd.listeners + 1, max(1, crowd.listeners // ASKED_MAX)):
        rater = account(number, crowd)
        ids = random.Random(number).sample(sorted(rater.ratings), min(crowd.each, IDS_ASKED_MAX))
        yield rater._replace(ratings={id: rater.ratings[id] for id in ids})


def developer_token(private_key: bytes, *, number: int = 0) -> str:
    """Sign a token; those of different numbers differ."""
    return mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now() // 1000, seconds=864_000 - number
    )


def write_requests(folder: Path, crowd: Crowd = Crowd(), *, has_cold: bool = False) -> bytes:  # noqa: B008 - see seed
    """Write into `folder` what requests.lua reads: `listeners` and `cold`; return the key that signed the tokens."""
    private_key = generate_private_key()
    lines = [developer_token(private_key)]
    lines += [f"{rater.token}\t{','.join(rater.ratings)}" for rater in asked(crowd)]
    (folder / "listeners").write_text("\n".join(lines) + "\n", "ascii")
    if has_cold:
        tokens = (developer_token(private_key, number=number) for number in range(COLD_TOKENS))
        (folder / "cold").write_text("\n".join(tokens) + "\n", "ascii")
    return private_key


def write_state(file: Path, private_key: bytes, crowd: Crowd = Crowd()) -> None:  # noqa: B008 - see seed
    """Write the crowd as JSON, for rivals that have a database of their own."""
    key = {"id": KEY_ID, "team_id": TEAM_ID, "public_key": read_public_key(private_key)}
    listeners = [
        {"digest": base64.b64encode(digest_of(rater.token.encode())).decode(), "ratings": rater.ratings}
        for rater in (account(number, crowd) for number in range(1, crowd.listeners + 1))
    ]
    file.write_text(json.dumps({"key": key, "listeners": listeners}), "utf-8")
